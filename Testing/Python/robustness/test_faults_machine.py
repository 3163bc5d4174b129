"""What happens around the work: memory that runs out, clocks that jump, a second process at the same output."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import kill_jobs
from bad_input import files_below
from killing import bytes_below, children, damaged, run_and_kill, unfinished
from made_ct import soft_tissue, write_image
from SAMedLib.evaluate import main as evaluate
from SAMedLib.prepare import main as prepare
from SAMedLib.segment import main as segment
from SAMedLib.train import main as train
from training_data import write_network, write_shapes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no limits on memory to try")
MEBIBYTE = 1 << 20


def _with_memory(mebibytes: int, said: Path, main, arguments: list[str]) -> int:
    """Do the work with this much more memory than the process has by now."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + mebibytes * MEBIBYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with open(said, "w") as file:
        os.dup2(file.fileno(), 2)
        return main(arguments)


@pytest.fixture(scope="module")
def given(tmp_path_factory, model) -> Path:
    folder = tmp_path_factory.mktemp("given")
    scan = np.tile(soft_tissue((24, 128, 128)), (1, 3, 3))
    (folder / "scans").mkdir()
    (folder / "labels").mkdir()
    write_image(folder / "scans" / "case.nii.gz", scan)
    write_image(folder / "scans" / "case.nrrd", scan)
    write_image(folder / "labels" / "case.nii.gz", (scan > 40).astype(np.uint8))
    write_shapes(folder / "data", cases=2)
    write_network(folder / "network.json")
    return folder


def work_of(name: str, given: Path, model: Path, output: Path) -> tuple:
    labels = given / "labels" / "case.nii.gz"
    size = ["--model-size", given / "network.json", "--init", "scratch", "--image-size", 64, "--slice-size", 64]
    return {
        "segment": (segment, given / "scans" / "case.nii.gz", "-o", output / "o.seg.nrrd", "--model", model),
        "segment NRRD": (segment, given / "scans" / "case.nrrd", "-o", output / "o.nii.gz", "--model", model),
        "train": (train, "--data", given / "data", "--output", output / "run", *size, "--max-steps", 2),
        "evaluate": (evaluate, "--predictions", labels, "--references", labels, "--json", output / "report.json"),
        "prepare": (
            *(prepare, "segmentations", given / "scans" / "case.nii.gz", labels, "-o", output / "set"),
            *("--labels", "organ=1"),
        ),
    }[name]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts memory this way")
@pytest.mark.parametrize("mebibytes", [2, 10, 25])
@pytest.mark.parametrize("name", ["segment", "segment NRRD", "train", "evaluate", "prepare"])
def test_memory_that_runs_out_is_told_or_made_do_with(name, mebibytes, given, model, tmp_path, tally):
    tally["faults", "memory full", "tried"] += 1
    main, *arguments = work_of(name, given, model, tmp_path / "out")
    said = tmp_path / "said"
    code = run_and_kill(partial(_with_memory, mebibytes, said, main, [str(argument) for argument in arguments]), None)
    lines = said.read_text().strip().splitlines()
    assert code in (0, 1), lines
    assert not [line for line in lines if "Traceback" in line or "Unexpected" in line], lines
    if code:
        assert "emory" in lines[-1], lines
        whole = ("dataset.json", "config.json")
        left = [path for path in files_below(tmp_path / "out") if path.name not in whole] if code else []
        assert not [path for path in left if "run" not in path.parts], left
    assert not unfinished(tmp_path / "out")
    tally["faults", "memory full", "survived"] += 1


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
