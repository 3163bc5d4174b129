"""Ends work with SIGKILL at random moments, until it gets through; looks at what is left each time.

Each process is forked from one that has imported everything, so that a kill costs milliseconds.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import multiprocessing.forkserver
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from safetensors import safe_open

Work = Callable[[], int]
_HANGS = 240  # seconds, after which work is said to hang; it takes a few
_IMPORTED = [
    "kill_jobs",
    "SAMedLib.training.job",
    "SAMedLib.data.strong_augment",
    "SAMedLib.inference.pipeline",
    "torch.utils.tensorboard",
    "matplotlib.pyplot",
]


@dataclass
class Killed:
    """What came of one kind of work.

    Attributes:
        kills: processes that were ended.
        while_writing: those of them that left an unfinished file behind, under a hidden name.
        got_through: rounds of work that ended at last.
        wrong: what was damaged, different from undisturbed work, or left behind; should be empty.
    """

    kills: int = 0
    while_writing: int = 0
    got_through: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """Work to be killed.

    Attributes:
        start: begins, or goes on where it was killed.
        output: the folder that it writes into.
        result: of the finished work, to compare.
    """

    start: Work
    output: Path
    result: Callable[[], object]


def run_and_kill(work: Work, seconds: float | None, seen: Callable[[], bool] = lambda: True) -> int | None:
    """Exit code of `work`; None if it was killed, as soon as `seen` is true after these seconds."""
    child = _context().Process(target=_quietly, args=(work,))
    child.start()
    begin = time.monotonic()
    while child.exitcode is None:
        if seconds is not None and time.monotonic() - begin >= seconds and seen():
            child.kill()
        child.join(0.0005 if seconds is not None else _HANGS)
        if time.monotonic() - begin > _HANGS:
            child.kill()
            raise AssertionError(f"the work did not end in {_HANGS} s")
    code = child.exitcode
    child.close()
    return None if code == -signal.SIGKILL else code


def children(*works: Work) -> list[int]:
    """Exit codes of works that run at the same time."""
    started = [_context().Process(target=_quietly, args=(work,)) for work in works]
    for child in started:
        child.start()
    for child in started:
        child.join()
    return [child.exitcode for child in started]


@functools.cache
def _context() -> multiprocessing.context.ForkServerContext:
    """Children of a process that imports everything and runs nothing: no thread of PyTorch or ITK is lost in a fork."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (*sys.path, before)))  # the server's own, for the preload
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ["PYTHONPATH"] = before
    return context


def _quietly(work: Work) -> None:
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.exit(work())


def kill_until_through(make: Callable[[int], Trial], kills: int, chance: random.Random, at_most: int = 4) -> Killed:
    """Rounds of work, each killed up to `at_most` times, until there were `kills` in all.

    Args:
        make: the trial of a round, in a folder of its own; round 0 is not disturbed.
    """
    found = Killed()
    undisturbed = make(0)
    run_and_kill(int, None)  # the first process waits for the imports
    begin = time.monotonic()
    if (code := run_and_kill(undisturbed.start, None)) != 0:
        raise RuntimeError(f"the undisturbed work ended with {code}")
    usual, wanted = time.monotonic() - begin, undisturbed.result()
    number = 0
    while found.kills < kills:
        number += 1
        trial, code = make(number), None
        for _ in range(at_most):
            at_a_write = chance.random() < 0.5
            seen = (lambda folder=trial.output: bool(unfinished(folder))) if at_a_write else lambda: True
            before = unfinished(trial.output)
            code = run_and_kill(trial.start, chance.uniform(0, 1.1 * usual), seen)
            if code is not None:
                break
            found.kills += 1
            found.while_writing += bool(unfinished(trial.output) - before)
            found.wrong += [f"round {number}: {problem}" for problem in damaged(trial.output)]
        if code is None:
            code = run_and_kill(trial.start, None)
        if code != 0:
            found.wrong.append(f"round {number} ended with {code}")
            continue
        found.got_through += 1
        if trial.result() != wanted:
            found.wrong.append(f"round {number} has another result than undisturbed work")
        if left := unfinished(trial.output):
            found.wrong.append(f"round {number} left {sorted(left)}")
    return found


def unfinished(folder: Path) -> set[str]:
    # os.walk, unlike rglob, takes it that a folder vanishes while it looks
    entries = ((parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files))
    return {os.path.join(*entry) for entry in entries if entry[1].startswith(".samed-") or entry[1].endswith(".part")}


def damaged(folder: Path) -> list[str]:
    """Files under their final names that cannot be read to their end."""
    problems = []
    for path in _finished_files(folder):
        try:
            _read(path)
        except Exception as error:
            problems.append(f"{path}: {error}")
    return problems


def _finished_files(folder: Path) -> Iterable[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "tensorboard"]
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def _read(path: Path) -> None:
    name = path.name
    if name.endswith(".safetensors"):
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 (not a dictionary)
                file.get_tensor(key)
    elif name.endswith(".pt"):
        torch.load(path, weights_only=True)
    elif name.endswith(".json"):
        json.loads(path.read_text(encoding="utf-8"))
    elif name.endswith(".jsonl"):  # grows line by line; a line that was cut off is skipped by its reader
        for line in path.read_text(encoding="utf-8").splitlines()[:-1]:
            json.loads(line)
    elif name.endswith(".png"):
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), "the picture breaks off"
    elif name.endswith(".npy"):
        np.load(path, allow_pickle=False)
    elif name.endswith((".nii.gz", ".nrrd")):
        sitk.ReadImage(str(path))


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Every file's content by its name below the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in _finished_files(folder)}


def weights_of(path: Path) -> dict[str, bytes]:
    """The tensors of a model file, bit for bit; its metadata hold the date and so differ."""
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118 (not a dictionary)
