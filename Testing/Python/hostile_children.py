"""Child processes that behave badly, run through the panel's own Job. Importing this boots the stand-in for Slicer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import slicer_host

if (reason := slicer_host.reasonNotToBoot()) is not None:
    pytest.skip(f"the panel is not tested: {reason}", allow_module_level=True)
slicer_host.boot()

from SAMedSlicerLib.ChildPython import ChildPython  # noqa: E402
from SAMedSlicerLib.Job import Job  # noqa: E402

# what `python -m hostile CODE` runs, with the options that every job gets in sys.argv
MODULE = """
import json, os, signal, sys, time
def emit(kind="progress", **values):
    sys.stdout.write(json.dumps({"event": kind, **values}) + "\\n")
def raw(data):
    sys.stdout.flush()
    os.write(1, data)
def progress(stage, done, total, message=""):
    emit(stage=stage, done=done, total=total, message=message)
def stop_requested():
    return os.path.exists(sys.argv[sys.argv.index("--stop-file") + 1])
exec(compile(sys.argv[1], "child", "exec"), globals())
"""
# works until it is asked to stop, as the library's commands do
OBEDIENT = """
from SAMedLib.command import make_parser, run
def work(args, report):
    for number in range(10000):
        report.progress("segmenting", number, 10000)
        time.sleep(0.01)
sys.argv.pop(1)
sys.exit(run(make_parser("x", "y"), work, sys.argv[1:]))
"""


class Hostile:
    """Makes jobs of pieces of Python code, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "modules").mkdir(parents=True)
        (folder / "modules" / "hostile.py").write_text(MODULE, encoding="utf-8")
        self._number = 0
        self.jobs: list[Job] = []

    @property
    def python(self) -> ChildPython:
        library = Path(__file__).resolve().parents[2]
        paths = os.pathsep.join([str(self.folder / "modules"), str(library)])
        return ChildPython(module="hostile", environment={"PYTHONPATH": paths})

    def job(self, code: str, *arguments: str, detached: bool = False) -> Job:
        self._number += 1
        self.jobs.append(Job(self.folder / f"job {self._number}", [code, *arguments], self.python, detached))
        return self.jobs[-1]

    def end(self) -> None:
        """No test leaves a process behind, also one that fails."""
        for job in self.jobs:
            job.terminate(force=True)

    def start(self, code: str, *arguments: str, detached: bool = False) -> Job:
        job = self.job(code, *arguments, detached=detached)
        job.start()
        return job

    def finish(self, code: str, *arguments: str, detached: bool = False) -> Job:
        job = self.start(code, *arguments, detached=detached)
        wait_for(lambda: not job.running)
        return job


def wait_for(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
