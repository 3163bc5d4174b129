"""A folder of scans in several processes: who takes which, what one terminal shows of all, and what a kill leaves."""

from __future__ import annotations

import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from fcntl import ioctl
from pathlib import Path

import numpy as np
import pytest
import torch

from made_ct import soft_tissue, write_image
from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import Reporter
from SAMedLib.imaging.organ_volumes import OrganVolume
from SAMedLib.inference.cohort import Cohort, Outcome, OwnStore, work_through
from SAMedLib.segment import main

LIVER = OrganVolume("liver", 5, 10, 1.5, cut=False)


class Ears(Reporter):
    """Keeps what it is told."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__(silent=True)
        self.told: list[tuple] = []
        self._stop_after = stop_after

    @property
    def stop_requested(self) -> bool:
        return self._stop_after is not None and len(self.told) >= self._stop_after

    def progress(self, stage: str, done: int, total: int, message: str = "") -> None:
        self.check_cancelled()
        self.told.append((stage, done, total, message))

    def progress_within(self, stage: str, done: int, total: int, message: str = "") -> None:
        self.check_cancelled()
        self.told.append(("within", stage, done, total))


def names_of(total: int) -> list[str]:
    return [f"scan{number}" for number in range(total)]


def test_processes_take_the_next_scan_and_the_first_one_hears_of_all():
    store, total = torch.distributed.HashStore(), 24
    took: dict[int, list[int]] = {0: [], 1: []}
    heard: dict[int, list[Outcome]] = {0: [], 1: []}
    ears = Ears()

    def process(rank: int) -> None:
        def work(number: int, report: Reporter) -> Outcome:
            took[rank].append(number)
            time.sleep(0.05 if rank else 0.001)  # the second one is slow, and takes fewer
            report.progress("segmenting", 1, 1)
            report.note(f"of scan {number}")
            return Outcome(number, (LIVER,))

        cohort = Cohort(total, store, leads=rank == 0, processes=2)
        work_through(cohort, names_of(total), work, heard[rank].append, ears if rank == 0 else Reporter(silent=True))

    threads = [threading.Thread(target=process, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(took[0] + took[1]) == list(range(total))
    assert 0 < len(took[1]) < len(took[0])
    assert heard[1] == []
    assert sorted(heard[0], key=lambda outcome: outcome.scan) == [
        Outcome(number, (LIVER,), notes=(f"of scan {number}",)) for number in range(total)
    ]
    # one line for all: it counts to the end, and no stage of a single process's scan is in it
    assert [done for _, done, _, _ in ears.told] == list(range(total + 1))
    assert {(stage, of) for stage, _, of, _ in ears.told} == {("scans", total)}


def test_a_scan_that_fails_is_an_outcome_and_a_wish_to_stop_ends_the_work():
    def work(number: int, report: Reporter) -> Outcome:
        report.progress("segmenting", 0, 3)
        if number == 0:
            raise SAMedError("It is no CT.")
        if number == 1:
            raise ValueError("no such thing")
        return Outcome(number)

    ears, heard = Ears(), []
    work_through(Cohort(3, OwnStore()), names_of(3), work, heard.append, ears)
    assert [outcome.failure for outcome in heard] == [
        "It is no CT.",
        "Unexpected failure, please report it with SAMED_DEBUG=1 set: ValueError: no such thing.",
        None,
    ]
    assert ears.told[:3] == [("scans", 0, 3, "scan0"), ("within", "segmenting", 0, 3), ("scans", 1, 3, "scan1")]
    heard.clear()
    with pytest.raises(Cancelled):
        work_through(Cohort(3, OwnStore()), names_of(3), work, heard.append, Ears(stop_after=3))
    assert len(heard) == 1


@pytest.fixture
def cohort(tmp_path) -> Path:
    folder = tmp_path / "cohort"
    folder.mkdir()
    for number in range(8):
        write_image(folder / f"scan{number}.nii.gz", soft_tissue((6, 40, 50)))
    return folder


def torchrun(*arguments: object) -> list[str]:
    own = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "SAMedLib.segment"]
    return [*own, *map(str, arguments)]


def run_in_terminal(command: list[str]) -> tuple[int, str]:
    """Exit status, and all that a terminal of 100 columns got."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    received = b""
    try:
        while chunk := os.read(ours, 65536):
            received += chunk
    except OSError:  # how Linux says that nobody has the other end any more
        pass
    os.close(ours)
    return process.wait(timeout=600), received.decode()


def test_two_processes_share_one_terminal_one_table_and_one_list_of_failures(tmp_path, cohort):
    write_image(cohort / "bad.nii.gz", np.zeros((3, 4, 5), np.int16))  # the first one that is taken, and soon done
    arguments = [cohort, "-o", tmp_path / "results", "--table", tmp_path / "table.json"]
    code, shown = run_in_terminal(torchrun(*arguments))
    assert code == 1
    # a process that ends early with a failure would have torchrun stop the other one
    assert sorted(os.listdir(tmp_path / "results")) == [f"scan{number}.seg.nrrd" for number in range(8)]
    assert "8 segmented, 0 skipped, 1 failed of 9 scans" in shown
    assert shown.count("bad failed: ") == 1
    cases = json.loads((tmp_path / "table.json").read_text())["cases"]
    assert [case["case"] for case in cases] == [f"scan{number}" for number in range(8)]
    bars = [line for line in shown.replace("\n", "\r").split("\r") if "%|" in line]
    assert {bar.partition(":")[0] for bar in bars} == {"loading the model", "scans"}
    counts = [int(bar.partition("/9 ")[0].rpartition("|")[2]) for bar in bars if bar.startswith("scans")]
    assert counts == sorted(counts)
    assert counts[-1] >= 8


def test_a_killed_process_ends_the_run_and_the_next_run_goes_on(tmp_path, cohort, capsys):
    for number in range(8, 20):
        write_image(cohort / f"scan{number}.nii.gz", soft_tissue((6, 40, 50)))
    results = tmp_path / "results"
    run = subprocess.Popen(
        torchrun(cohort, "-o", results, "--events"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    for line in run.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["stage"] == "scans" and event["done"] >= 2:
            break
    os.kill(process_of_rank(1, run.pid), signal.SIGKILL)
    _, said = run.communicate(timeout=600)
    assert run.returncode == 1
    there = {path.name: path.stat().st_mtime_ns for path in results.iterdir()}
    assert 2 <= len(there) < 20
    assert all(name.startswith("scan") and name.endswith(".seg.nrrd") for name in there)
    assert "of 20 scans are done; the same command goes on from there." in said
    assert main([str(cohort), "-o", str(results)]) == 0
    assert f"{20 - len(there)} segmented, {len(there)} skipped, 0 failed" in capsys.readouterr().out
    assert {name: (results / name).stat().st_mtime_ns for name in there} == there


def test_a_single_scan_is_the_first_process_s(tmp_path, monkeypatch):
    scan = write_image(tmp_path / "scan.nii.gz", soft_tissue((6, 40, 50)))
    for name, value in (("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost"), ("RANK", "1")):
        monkeypatch.setenv(name, value)
    assert main([str(scan), "-o", str(tmp_path / "organs.nrrd")]) == 0
    assert not (tmp_path / "organs.nrrd").exists()
    monkeypatch.setenv("RANK", "0")
    assert main([str(scan), "-o", str(tmp_path / "organs.nrrd")]) == 0
    assert (tmp_path / "organs.nrrd").exists()


def process_of_rank(rank: int, parent: int) -> int:
    """The number of torchrun's process of this rank."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next(int(c) for c in children if f"RANK={rank}" in Path(f"/proc/{c}/environ").read_text().split("\0"))
