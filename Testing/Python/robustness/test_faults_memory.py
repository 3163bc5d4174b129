"""Memory that runs out: the work is done with less, or one sentence says so, and nothing half-written stays."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bad_input import files_below
from killing import run_and_kill, unfinished
from made_ct import soft_tissue, write_image
from SAMedLib.evaluate import main as evaluate
from SAMedLib.prepare import main as prepare
from SAMedLib.segment import main as segment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory in this way")


def _with_memory(mebibytes: int, said: Path, main: Callable, arguments: list[str]) -> int:
    """Do the work with this much more memory than the process has by now."""
    import resource

    import torch

    torch.rand(200, 200) @ torch.rand(200, 200)  # its threads are there before the limit: it is about data
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + mebibytes * (1 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with open(said, "w") as file:
        os.dup2(file.fileno(), 2)
        return main(arguments)


@pytest.fixture(scope="module")
def given(tmp_path_factory, model) -> Path:
    """A scan of 63 MiB as int16, in files that are compressed and that are not."""
    folder = tmp_path_factory.mktemp("given")
    scan = np.tile(soft_tissue((14, 128, 128)), (9, 4, 4))
    (folder / "scans").mkdir()
    (folder / "labels").mkdir()
    write_image(folder / "scans" / "case.nii", scan)
    write_image(folder / "case.nrrd", scan)
    write_image(folder / "labels" / "case.nrrd", (scan > 40).astype(np.uint8))
    return folder


def work_of(name: str, given: Path, model: Path, output: Path) -> list:
    labels = given / "labels" / "case.nrrd"
    return {
        "segment": [segment, given / "scans" / "case.nii", "-o", output / "o.seg.nrrd", "--model", model],
        "segment NRRD": [segment, given / "case.nrrd", "-o", output / "o.nii.gz", "--model", model],
        "evaluate": [evaluate, "--predictions", labels, "--references", labels, "--json", output / "report.json"],
        "prepare": [
            *(prepare, "segmentations", given / "scans" / "case.nii", labels, "-o", output / "set"),
            *("--labels", "organ=1"),
        ],
    }[name]


@pytest.mark.parametrize("mebibytes", [5, 20, 80, 200])
@pytest.mark.parametrize("name", ["segment", "segment NRRD", "evaluate", "prepare"])
def test_memory_that_runs_out_is_told_or_made_do_with(name, mebibytes, given, model, tmp_path, tally):
    tally["faults", "memory full", "tried"] += 1
    main, *arguments = work_of(name, given, model, tmp_path / "out")
    heard = tmp_path / "said"
    work = partial(_with_memory, mebibytes, heard, main, [str(argument) for argument in arguments])
    code, said = run_and_kill(work, None), heard.read_text().strip()
    assert code in ((1,) if mebibytes == 5 else (0, 1)), said
    assert "Traceback" not in said
    assert "Unexpected" not in said
    if code:
        assert "emory" in said.splitlines()[-1]
        assert not [path for path in files_below(tmp_path / "out") if path.name not in ("dataset.json", ".lock")]
    if (tmp_path / "out").exists():
        assert not unfinished(tmp_path / "out")
    tally["faults", "memory full", "survived"] += 1
