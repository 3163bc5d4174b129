"""What happens around the work: clocks that jump, a second process at the same output."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from functools import partial

import numpy as np
import pytest

import kill_jobs
from killing import bytes_below, children, damaged, run_and_kill, unfinished
from made_ct import soft_tissue, write_image
from SAMedLib.data.folders import list_cases
from SAMedLib.prepare import main as prepare

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no SIGKILL")


@pytest.mark.parametrize("work", ["segmenting", "preparing", "downloading"])
def test_two_processes_on_one_output_end_as_one_would(work, tmp_path, tally):
    with getattr(kill_jobs, work)(tmp_path) as make:
        alone, shared = make(0), make(1)
        assert run_and_kill(alone.start, None) == 0
        tally["faults", "two at once", "tried"] += 2
        codes = children(shared.start, shared.start)
        assert set(codes) <= {0, 1}
        assert 0 in codes
        assert not damaged(shared.output)
        assert shared.result() == alone.result()
        assert not unfinished(shared.output)
        tally["faults", "two at once", "survived"] += 2


def test_a_second_training_in_one_folder_is_refused_and_harms_nothing(tmp_path, tally):
    with kill_jobs.training(tmp_path) as make:
        alone, shared = make(0), make(1)
        assert run_and_kill(alone.start, None) == 0
        tally["faults", "two at once", "tried"] += 2
        codes = children(shared.start, shared.start)
        assert 0 in codes
        assert set(codes) <= {0, 1}
        assert shared.result() == alone.result()
        tally["faults", "two at once", "survived"] += 2


def test_a_worker_that_dies_is_told_and_its_work_is_done_the_next_time(tmp_path, tally, monkeypatch, capfd):
    arguments = ["phantoms", "-o", str(tmp_path / "data"), "--in-plane", "32", "--slices", "4", "--workers", "2"]
    tally["faults", "worker killed", "tried"] += 1
    with monkeypatch.context() as patch:
        patch.setattr("SAMedLib.events.Reporter.progress", _kill_the_worker_after_the_first)
        assert prepare([*arguments, "--cases", "12"]) == 1
    said = capfd.readouterr().err.strip().splitlines()
    assert "worker process died" in said[-1]
    assert not any("Traceback" in line for line in said)
    made = len(list_cases(tmp_path / "data"))
    assert 1 <= made < 12
    assert not damaged(tmp_path / "data")
    assert prepare([*arguments, "--cases", "12"]) == 0
    assert len(list_cases(tmp_path / "data")) == 12
    assert not unfinished(tmp_path / "data")
    tally["faults", "worker killed", "survived"] += 1


def _kill_the_worker_after_the_first(reporter, stage, done, total, message="") -> None:
    for child in multiprocessing.active_children() if done == 1 else ():
        os.kill(child.pid, signal.SIGKILL)


class JumpingClock:
    """Seconds since 1970 that go to and fro between years, at every look."""

    def __init__(self) -> None:
        self._moments = [0.0, 4e9, 1e9, 5.0, 2.5e9, 1.7e9]
        self._looks = 0

    def __call__(self, *_) -> float:
        self._looks += 1
        return self._moments[self._looks % len(self._moments)]


def _with_a_jumping_clock(work) -> int:
    clock, local = JumpingClock(), time.localtime
    time.time = clock
    time.localtime = lambda seconds=None: local(clock() if seconds is None else seconds)
    return work()


@pytest.mark.parametrize("work", ["training", "segmenting", "preparing", "downloading"])
def test_a_clock_that_jumps_changes_no_result(work, tmp_path, tally):
    with getattr(kill_jobs, work)(tmp_path) as make:
        usual, jumping = make(0), make(1)
        assert run_and_kill(usual.start, None) == 0
        tally["faults", "clock jumps", "tried"] += 1
        assert run_and_kill(partial(_with_a_jumping_clock, jumping.start), None) == 0
        assert jumping.result() == usual.result()
        tally["faults", "clock jumps", "survived"] += 1


def test_prepared_slices_are_the_same_bytes_whatever_the_clock_says(tmp_path, tally):
    for kind, array in (("img", soft_tissue((3, 40, 48))), ("label", soft_tissue((3, 40, 48)) > 40)):
        (tmp_path / "raw" / kind).mkdir(parents=True)
        for number in (1, 5):
            write_image(tmp_path / "raw" / kind / f"{kind}{number:04d}.nii.gz", array.astype(np.int16))

    def start(name: str) -> partial:
        return partial(prepare, ["synapse", str(tmp_path / "raw"), "-o", str(tmp_path / name)])

    tally["faults", "clock jumps", "tried"] += 1
    assert run_and_kill(start("usual"), None) == 0
    assert run_and_kill(partial(_with_a_jumping_clock, start("jumping")), None) == 0
    usual, jumping = (bytes_below(tmp_path / name) for name in ("usual", "jumping"))
    assert usual == jumping
    assert len(usual) > 6
    tally["faults", "clock jumps", "survived"] += 1
