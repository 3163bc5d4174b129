"""Configurations, run folders and arguments that make no sense: one sentence, nothing done."""

from __future__ import annotations

import importlib
import json
import shutil

import pytest

import checkpoints
from made_ct import soft_tissue, write_image
from SAMedLib.train import main as train
from training_data import write_network, write_shapes

SCRATCH = ["--model-size", "tiny", "--init", "scratch", "--device", "cpu"]
WRONG = [
    ("segment", ["gone.nii.gz", "-o", "OUT/o.nrrd"], "gone.nii.gz"),
    *(("segment", ["SCAN", "-o", f"OUT/o{end}"], f"o{end}") for end in (".stl", ".dcm", ".png", ".csv", ".nii.bz2")),
    ("segment", ["SCAN", "-o", "SCAN"], "scan.nrrd"),
    ("segment", ["SCAN"], "--output"),
    ("segment", [], "INPUT"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--batch-size", "0"], "0"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--batch-size", "-3"], "-3"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--batch-size", "many"], "many"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--device", "abacus"], "abacus"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--precision", "fp8"], "fp8"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--organs", "heart"], "heart"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--organs", ","], "organ"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--frame", "3"], "scan.nrrd"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--frame", "x"], "x"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--model", "no-such-model"], "no-such-model"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--table", "OUT/t.xlsx"], "t.xlsx"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--overview", "OUT/o.gif"], "o.gif"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--format", ".stl"], ".stl"),
    ("segment", ["SCAN", "-o", "OUT/o.mha", "--surprise"], "--surprise"),
    *(
        ("train", ["--data", "DATA", "--output", "OUT/run", *arguments], arguments[0])
        for arguments in (
            ["--epochs", "0"], ["--epochs", "-1"], ["--epochs", "x"], ["--batch-size", "0"], ["--lr", "nan"],
            ["--lr", "-1"], ["--lr", "fast"], ["--schedule", "cosine"], ["--optimizer", "magic"], ["--ema", "2"],
            ["--warmup", "-1"], ["--clip", "-1"], ["--dice-weight", "3"], ["--seed", "-1"],
            ["--precision", "fp8"], ["--augmentation", "wild"], ["--surprise", "1"],
        )
    ),
    ("train", ["--data", "gone", "--output", "OUT/run", *SCRATCH], "gone"),
    ("train", ["--data", "DATA", "--output", "OUT/run", *SCRATCH, "--val-cases", "gone"], "gone"),
    ("train", ["--output", "OUT/run"], "--data"),
    ("train", ["--output", "OUT/run", "--resume"], "run"),
    ("evaluate", [], "--predictions"),
    ("evaluate", ["--predictions", "gone", "--references", "gone"], "gone"),
    ("evaluate", ["--predictions", "SCAN", "--references", "SCAN", "--json", "OUT/r.txt"], "r.txt"),
    ("evaluate", ["--predictions", "SCAN", "--references", "SCAN", "--protocol", "best"], "best"),
    ("evaluate", ["--predictions", "SCAN", "--references", "SCAN"], "scan.nrrd"),
    ("evaluate", ["--model", "no-such-model", "--data", "DATA"], "no-such-model"),
    ("evaluate", ["--model", "tiny", "--data", "gone"], "gone"),
    ("evaluate", ["--model", "tiny"], "--data"),
    ("evaluate", ["--model", "tiny", "--data", "DATA", "--precision", "fp8"], "fp8"),
    ("evaluate", ["--model", "tiny", "--data", "DATA", "--device", "abacus"], "abacus"),
    ("evaluate", ["--model", "tiny", "--data", "DATA", "--batch-size", "0"], "0"),
    *(
        ("evaluate", ["--predictions", "SCAN", "--references", "SCAN", *arguments], names)
        for arguments, names in (
            (["--tolerance", "-1"], "-1"), (["--tolerance", "nan"], "nan"), (["--tolerance", "wide"], "wide"),
            (["--engine", "steam"], "steam"), (["--map", "1"], "1"), (["--csv", "OUT/t.doc"], "t.doc"),
            (["--html", "OUT/t.pdf"], "t.pdf"), (["--pictures", "-1"], "-1"),
            (["--pictures", "x"], "x"), (["--names", "a,b,c"], "--names"),
        )
    ),
    ("experiment", [], "RECIPE"),
    ("experiment", ["gone.json", "--data", "DATA", "--output", "OUT/x"], "gone.json"),
    ("experiment", ["SCAN", "--data", "DATA", "--output", "OUT/x"], "scan.nrrd"),
    ("experiment", ["gone.json", "--output", "OUT/x"], "--data"),
    ("devices", ["--slices", "0"], "0"),
    ("devices", ["--slices", "x"], "x"),
    ("devices", ["--surprise"], "--surprise"),
    ("demo", ["-o", "SCAN"], "scan.nrrd"),
    ("demo", ["-o", "OUT/demo", "--model", "no-such-model"], "no-such-model"),
    ("demo", ["-o", "OUT/demo", "--seed", "-5"], "-5"),
    ("demo", ["-o", "OUT/demo", "--seed", "x"], "x"),
    ("demo", ["-o", "OUT/demo", "--device", "abacus"], "abacus"),
    ("benchmark", ["--only", "nothing"], "nothing"),
    ("benchmark", ["--rounds", "0"], "0"),
    ("benchmark", ["--threads", "x"], "x"),
    ("benchmark", ["--device", "abacus"], "abacus"),
    ("benchmark", ["--quick", "--chart", "OUT/c.gif"], "c.gif"),
    ("benchmark", ["--quick", "--json", "OUT/c.txt"], "c.txt"),
    *(
        ("train", ["--data", "DATA", "--output", "OUT/run", *SCRATCH, option, value], value)
        for option, value in (("--image-size", "1000000"), ("--image-size", "7"), ("--slice-size", "100000"),
                              ("--slice-size", "0"), ("--rank", "0"), ("--lora-targets", "x"), ("--max-steps", "0"))
    ),
    ("prepare", [], "KIND"),
    ("prepare", ["synapse", "gone", "-o", "OUT"], "gone"),
    ("prepare", ["segmentations", "gone", "gone", "-o", "OUT"], "gone"),
    ("prepare", ["phantoms", "-o", "OUT", "--cases", "x"], "x"),
    ("weights", ["info", "gone"], "gone"),
    ("weights", ["import", "gone.pth"], "gone.pth"),
    ("weights", ["download", "gone"], "gone"),
    ("weights", ["dance"], "dance"),
    ("weights", ["convert", "gone.pth", "OUT/o.safetensors"], "gone.pth"),
    ("weights", ["convert", "tiny", "OUT/o.txt"], "o.txt"),
    ("weights", ["convert", "SCAN", "OUT/o.safetensors"], "scan.nrrd"),
    ("weights", ["import", "SCAN", "--name", "mine"], "scan.nrrd"),
    ("weights", ["info", "SCAN"], "scan.nrrd"),
    ("weights", ["remove", "no-such-model"], "no-such-model"),
    ("weights", ["remove", "tiny"], "tiny"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "arguments", "names"), WRONG, ids=lambda value: str(value)[:60])
def test_wrong_arguments_are_told(trial, command, arguments, names):
    scan = write_image(trial.inputs / "scan.nrrd", soft_tissue((2, 20, 24)))
    data = write_shapes(trial.inputs / "data", cases=1) if "DATA" in arguments else None
    places = {"SCAN": scan, "DATA": data}
    given = [str(places.get(a, a)).replace("OUT", str(trial.output)) for a in arguments]
    module = importlib.import_module({"weights": "SAMedLib.weights.__main__"}.get(command, f"SAMedLib.{command}"))
    trial.refuse(module.main, given, names)


RECIPES = ["", "{", "[]", "3", "null", '"x"', "\x00\x01", '{"learning": 1}', '{"lr": "fast"}', '{"lr": [1, 2]}',
           '{"config": "x"}', '{"epochs": 1.5}', '{"epochs": {}}', '{"schedule": "cosine"}', '{"": 1}',
           '{"batch_size": -1}', '{"precision": 3}']  # fmt: skip


@pytest.mark.parametrize("text", RECIPES)
def test_a_damaged_recipe_is_told(trial, text):
    data = write_shapes(trial.inputs / "data", cases=1)
    recipe = trial.inputs / "recipe.json"
    recipe.write_text(text)
    trial.refuse(train, ["--config", recipe, "--data", data, "--output", trial.output], "")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    network = write_network(folder / "network.json")
    data = write_shapes(folder / "data", cases=1)
    size = ["--model-size", network, "--init", "scratch", "--image-size", "64", "--slice-size", "64"]
    arguments = ["--data", data, "--output", folder / "run", *size, "--max-steps", "1", "--max-epochs", "200"]
    assert train([str(a) for a in (*arguments, "--device", "cpu")]) == 0
    return folder / "run"


def refuse_resume(trial, run, change, names):
    shutil.copytree(run, trial.inputs / "run")
    change(trial.inputs / "run")
    trial.refuse(train, ["--output", trial.inputs / "run", "--resume", "--max-steps", "2"], names)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "{}", "\x00", '{"options": {}}'])
def test_a_run_with_a_damaged_description_does_not_go_on(trial, run, text):
    refuse_resume(trial, run, lambda folder: (folder / "config.json").write_text(text), "config.json")


def test_a_run_that_is_not_damaged_does_go_on(tmp_path, run):
    shutil.copytree(run, tmp_path / "run")
    assert train(["--output", str(tmp_path / "run"), "--resume", "--max-steps", "2"]) == 0


VALUES = (None, 3, "text", {}, [])
# three parts would do, and a run without a base has no use for the base's path
ENTRIES = [
    *((entry, value) for entry in ("options", "model", "timetable", "data") for value in VALUES),
    *(("parts", value) for value in (None, "text", {"a": 1}, [1])),
    *(("base_path", value) for value in (3, {"a": 1}, [1])),
]


@pytest.mark.parametrize(("entry", "value"), ENTRIES)
def test_a_run_with_a_damaged_entry_does_not_go_on(trial, run, entry, value):
    def change(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, entry: value}))

    refuse_resume(trial, run, change, "config.json")


@pytest.mark.parametrize("percent", [0, 1, 10, 40, 70, 90, 99])
def test_a_run_whose_state_is_cut_off_does_not_go_on(trial, run, percent):
    content = (run / "state.pt").read_bytes()
    cut = content[: len(content) * percent // 100]
    refuse_resume(trial, run, lambda folder: (folder / "state.pt").write_bytes(cut), "state.pt")


@pytest.mark.parametrize("wrapping", checkpoints.WRAPPINGS)
def test_code_in_a_state_is_refused_and_never_run(tmp_path, trial, run, wrapping):
    canary = tmp_path / "canary"
    trap = checkpoints.traps(canary)["os.system"]
    refuse_resume(trial, run, lambda f: checkpoints.write_trap(f / "state.pt", trap, wrapping), "state.pt")
    assert not canary.exists()
