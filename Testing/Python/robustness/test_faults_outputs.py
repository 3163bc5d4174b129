"""Outputs that cannot be written: one sentence, no half-written file, and what was there stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bad_input import files_below
from kill_jobs import training
from made_ct import soft_tissue, write_image
from SAMedLib.evaluate import main as evaluate
from SAMedLib.inference import Segmenter
from SAMedLib.prepare import main as prepare
from SAMedLib.segment import main as segment
from SAMedLib.train import main as train
from SAMedLib.weights.__main__ import main as weights
from training_data import write_network, write_shapes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no way to fill a disk here")
LEFT = 4096  # bytes


@pytest.fixture(scope="module")
def given(tmp_path_factory, model) -> Path:
    """Inputs of all commands, on a disk with room."""
    folder = tmp_path_factory.mktemp("given")
    noise = np.random.default_rng(0).integers(-500, 500, (6, 60, 70)).astype(np.int16)  # cannot be compressed away
    (folder / "scans").mkdir()
    (folder / "labels").mkdir()
    write_image(folder / "scans" / "case.nii.gz", soft_tissue(noise.shape) + noise)
    write_image(folder / "labels" / "case.nii.gz", (noise > 0).astype(np.uint8))
    for kind in ("img", "label"):
        (folder / "raw" / kind).mkdir(parents=True)
        for number in (1, 5):  # a case for the test set, and one for training
            source = folder / {"img": "scans", "label": "labels"}[kind] / "case.nii.gz"
            shutil.copy(source, folder / "raw" / kind / f"{kind}{number:04d}.nii.gz")
    write_shapes(folder / "data", cases=2)
    write_network(folder / "network.json")
    shutil.copy(model, folder / "small.safetensors")
    (folder / "many").mkdir()
    for number in range(40):  # a table of more than what is left on the disk
        write_image(folder / "many" / f"case{number}.nii.gz", (noise[:2, :20, :20] > 0).astype(np.uint8))
    return folder


def import_into(home: Path, arguments: list[str]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMED_HOME", str(home))
        return weights(arguments)


def commands(given: Path, output: Path) -> dict[str, tuple]:
    scan, model = given / "scans" / "case.nii.gz", given / "small.safetensors"
    size = ["--model-size", given / "network.json", "--init", "scratch", "--image-size", 64, "--slice-size", 64]
    labels = given / "labels" / "case.nii.gz"
    segmenting = {
        f"segment to {name}": (segment, scan, "-o", output / name, "--model", model, "--device", "cpu")
        for name in ("organs.seg.nrrd", "organs.nii.gz", "organs.nii", "organs.nrrd", "organs.mha")
    }
    return segmenting | {
        "segment with a picture": (
            *(segment, scan, "-o", output / "organs.nrrd", "--model", model, "--device", "cpu"),
            *("--overview", output / "overview.png", "--confidence", output / "confidence.nii.gz"),
        ),
        "train": (train, "--data", given / "data", "--output", output / "run", *size, "--max-steps", 1),
        "prepare": (
            *(prepare, "segmentations", given / "scans", given / "labels", "-o", output / "set"),
            *("--labels", "organ=1"),
        ),
        "prepare synapse": (prepare, "synapse", given / "raw", "-o", output / "set"),
        "prepare phantoms": (
            *(prepare, "phantoms", "-o", output / "set", "--cases", 1, "--workers", 1, "--in-plane", 64),
            *("--slices", 4),
        ),
        "evaluate": (
            *(evaluate, "--predictions", labels, "--references", labels),
            *("--json", output / "report.json", "--html", output / "report.html"),
        ),
        "evaluate to a table": (
            *(evaluate, "--predictions", given / "many", "--references", given / "many", "--csv"),
            output / "report.csv",
        ),
        "import": (partial(import_into, output / "home"), "import", model, "--name", "mine"),
        "convert": (weights, "convert", model, output / "other.safetensors"),
    }


NAMES = tuple(commands(Path(), Path()))


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own with hardly any room."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system; the limit on file sizes is tried instead")
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.strip()}")
    try:
        with open(folder / "filler", "wb") as file:
            file.write(bytes(shutil.disk_usage(folder).free - LEFT))
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def small_files(folder: Path) -> Iterator[Path]:
    """No file may grow beyond a few bytes, as with a quota."""
    import resource

    folder.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LEFT, before[1]))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run(command, *arguments) -> int:
    return command([str(argument) for argument in arguments])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("full", [full_disk, small_files])
def test_a_disk_without_room_is_told_and_nothing_half_written_stays(full, name, given, tmp_path, capfd, tally):
    with full(tmp_path / "full") as folder:
        tally["faults", "disk full", "tried"] += 1
        code = run(*commands(given, folder)[name])
        left = {path.name: path.stat().st_size for path in files_below(folder) if path.name != "filler"}
    said = capfd.readouterr().err.strip()
    assert code == 1, said
    assert "full" in said.splitlines()[-1], said
    assert "Traceback" not in said
    whole = ("dataset.json", "config.json")  # small enough to fit
    finished = [path for path in left if not path.startswith("events") and path not in whole and "lock" not in path]
    assert not finished, left
    tally["faults", "disk full", "survived"] += 1


def test_a_training_that_filled_the_disk_goes_on_exactly_once_there_is_room(tmp_path, tally):
    with training(tmp_path) as make, full_disk(tmp_path / "full") as disk:
        undisturbed, trial = make(0), make(1)
        assert undisturbed.start() == 0
        trial.output.parent.symlink_to(disk)
        ends = []
        for room in (1_000_000, 20_000_000):
            subprocess.run(["mount", "-o", f"remount,size={256 * 1024 + room}", disk], check=True)
            ends.append(trial.start())
            tally["faults", "disk full", "tried"] += 1
        assert ends[0] == 1
        assert ends[-1] == 0
        assert trial.result() == undisturbed.result()
        tally["faults", "disk full", "survived"] += len(ends)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("root may write everywhere, and no file system can be mounted read-only here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_cannot_be_written_is_told(name, given, tmp_path, capfd, tally):
    with read_only(tmp_path / "fixed") as folder:
        tally["faults", "read-only output", "tried"] += 1
        code = run(*commands(given, folder)[name])
    said = capfd.readouterr().err.strip()
    assert code == 1, said
    assert str(folder) in said.splitlines()[-1]
    assert "Traceback" not in said
    tally["faults", "read-only output", "survived"] += 1


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("segment")])
def test_an_output_folder_that_vanishes_is_made_again(name, given, tmp_path, tally, monkeypatch):
    """After the check at the start, when the slices are computed."""
    tally["faults", "vanished output", "tried"] += 1
    output = tmp_path / "out"
    output.mkdir()
    compute = Segmenter.predict

    def vanish(self, *arguments):
        shutil.rmtree(output, ignore_errors=True)
        return compute(self, *arguments)

    monkeypatch.setattr(Segmenter, "predict", vanish)
    assert run(*commands(given, output)[name]) == 0
    assert files_below(output)
    tally["faults", "vanished output", "survived"] += 1
