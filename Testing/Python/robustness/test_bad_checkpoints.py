"""Model files that are damaged or wrong are refused in one sentence, and code in them never runs."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import load_file

import checkpoints
from made_ct import soft_tissue, write_image
from SAMedLib.segment import main as segment
from SAMedLib.train import main as train
from SAMedLib.weights.__main__ import main as weights
from training_data import write_network, write_shapes


@pytest.fixture(scope="module")
def pth(model, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("pth") / "model.pth"
    torch.save(load_file(model), path)
    return path.read_bytes()


def segment_with(trial, path, says=""):
    scan = write_image(trial.inputs / "scan.nrrd", soft_tissue((2, 20, 24)))
    trial.refuse(segment, [scan, "-o", trial.output / "organs.nrrd", "--model", path], path.name, says)


def test_a_model_that_is_cut_off_is_refused(model, pth, trial_of):
    for content, suffix in ((model.read_bytes(), ".safetensors"), (pth, ".pth")):
        for bad in checkpoints.cut(content, suffix):
            trial = trial_of()
            segment_with(trial, bad.make(trial.inputs))


def test_a_model_that_fits_nothing_is_refused(model, trial_of, subtests_of):
    for bad in (*checkpoints.wrong(model.read_bytes()), *checkpoints.others()):
        with subtests_of(bad):
            trial = trial_of()
            segment_with(trial, bad.make(trial.inputs))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_flipped_bit_in_a_header_is_refused_or_changes_nothing_that_matters(
    model, pth, trial_of, subtests_of, suffix
):
    content = model.read_bytes() if suffix == ".safetensors" else pth
    for bad in checkpoints.flipped(content, suffix, 40):
        with subtests_of(bad):
            trial = trial_of()
            path = bad.make(trial.inputs)
            scan = write_image(trial.inputs / "scan.nrrd", soft_tissue((2, 20, 24)))
            code, said = trial.run(segment, [scan, "-o", trial.output / "organs.nrrd", "--model", path])
            if code == 0:
                trial.read_rightly()
            else:
                trial.check_refusal(code, said, path.name)


@pytest.mark.parametrize("wrapping", checkpoints.WRAPPINGS)
def test_code_in_a_pickle_is_refused_and_never_run(tmp_path, trial_of, subtests_of, wrapping):
    canary = tmp_path / "canary"
    for name, trap in checkpoints.traps(canary).items():
        for suffix in (".pth", ".pt", ".safetensors"):
            for command, arguments in (
                (segment, lambda t, p: [t.inputs / "scan.nrrd", "-o", t.output / "o.nrrd", "--model", p]),
                (weights, lambda t, p: ["info", p]),
                (weights, lambda t, p: ["import", p, "--name", "mine"]),
                (weights, lambda t, p: ["convert", p, t.output / "other.safetensors"]),
            ):
                with subtests_of(f"{name} in {suffix} for {command.__module__}"):
                    trial = trial_of()
                    path = checkpoints.write_trap(trial.inputs / f"evil{suffix}", trap, wrapping)
                    (trial.inputs / "scan.nrrd").write_bytes(b"never read")
                    trial.refuse(command, arguments(trial, path), path.name)
                    assert not canary.exists()
    pickle.loads(pickle.dumps(trap))  # noqa: S301 - the last trap does work
    assert canary.exists()


def test_training_does_not_start_from_a_trap(tmp_path, trial_of):
    canary = tmp_path / "canary"
    data = write_shapes(tmp_path / "data", cases=1)
    small = write_network(tmp_path / "network.json")
    for option in (["--start"], ["--model-size", small, "--base"]):
        for wrapping in checkpoints.WRAPPINGS:
            trial = trial_of()
            trap = checkpoints.traps(canary)["os.system"]
            path = checkpoints.write_trap(trial.inputs / "evil.pth", trap, wrapping)
            trial.refuse(
                train, ["--data", data, "--output", trial.output, "--device", "cpu", *option, path], "evil.pth"
            )
            assert not canary.exists()
