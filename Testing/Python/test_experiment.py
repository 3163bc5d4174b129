"""`samed experiment`: every shipped recipe from start to table and figure, and what happens to runs on the way."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import SAMedLib
from SAMedLib.data.folders import DatasetFolder
from SAMedLib.data.phantom_cases import write_phantoms
from SAMedLib.errors import Cancelled
from SAMedLib.events import SILENT, Reporter
from SAMedLib.experiment import main
from SAMedLib.experiments.figures import loss_curves
from SAMedLib.experiments.job import run_experiments
from SAMedLib.experiments.recipe import read_recipe
from SAMedLib.experiments.sizes import published_file_bytes
from SAMedLib.imaging.volume import window
from SAMedLib.model import DecoderConfig, EncoderConfig, SAMed, SAMedConfig
from SAMedLib.model.metadata import BaseWeights
from SAMedLib.training import RunFolder
from training_data import NETWORK, write_network

RECIPES = sorted((Path(SAMedLib.__file__).parents[1] / "recipes" / "paper").glob("*.json"))
SIZE = 32
SMALLEST = {"table1": 64, "table7": 64}  # pixels that the recipe's networks need
TEST_SET = "the bench's test set"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Phantoms to train and to test on, a network that trains in a moment, and random weights for a base."""
    folder = tmp_path_factory.mktemp("bench")
    write_phantoms(folder / "train", 3, in_plane=SIZE, num_slices=6)
    write_phantoms(folder / "test", 2, seed=50, in_plane=SIZE, num_slices=6)
    write_network(folder / "network.json")
    torch.manual_seed(0)
    parts = EncoderConfig(**NETWORK["encoder"]), DecoderConfig(**NETWORK["decoder"])
    model = SAMed(SAMedConfig(*parts, image_size=SIZE, slice_size=SIZE, lora_targets=()))
    torch.save(model.state_dict(), folder / "base.pth")
    return folder


def experiment(bench: Path, *arguments, output: Path | None = None, image_size: int = SIZE) -> int:
    settings = {"model_size": bench / "network.json", "base": bench / "base.pth", "image_size": image_size}
    settings |= {"slice_size": SIZE, "epochs": 1, "batch_size": 9, "device": "cpu"}
    fixed = ["--data", bench / "train", "--test-data", bench / "test", "--output", output or bench / "out"]
    fixed += ["--pictures", 1, "--set", *(f"{key}={value}" for key, value in settings.items())]
    return main([str(argument) for argument in (*arguments, *fixed)])


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_writes_its_table_and_its_figure(bench, path, capfd):
    if path.stem in SMALLEST:
        pytest.importorskip("monai", reason="MONAI is not installed, so recipes with its networks are not run")
    assert experiment(bench, path, image_size=SMALLEST.get(path.stem, SIZE)) == 0
    recipe = read_recipe(path)
    results = bench / "out" / recipe.name
    report = json.loads((results / "report.json").read_text())
    assert [run["run"] for run in report["runs_trained"]] == list(recipe.runs)
    said = capfd.readouterr().out
    if "scores" in recipe.report:
        assert report["protocol"] == "paper"
        assert [run["name"] for run in report["runs"]] == list(recipe.runs)
        with open(results / "scores.csv", newline="") as file:
            assert len(list(csv.DictReader(file))) == len(recipe.runs) * 2 * 8
        table = said[said.rindex("Mean Dice, mean HD95") :]
        assert all(f"\n{name} " in table for name in recipe.runs)
        assert recipe.title in (results / "report.html").read_text()
    if "losses" in recipe.report:
        with open(results / "losses.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert {row["run"] for row in rows} == set(recipe.runs)
        assert all(float(row["loss"]) > 0 for row in rows)
    figure = {"losses": "losses.png", "cases": "cases.png"}
    for name in {figure.get(entry, "organs.png") for entry in recipe.report if entry != "sizes"}:
        assert matplotlib.image.imread(results / name).std() > 0.01


def test_flat_loss_curves_lie_inside_their_figure():
    events = [{"event": "metric", "step": step, "loss": 1.19} for step in (1, 2)]
    axis = loss_curves({"one": events, "two": events}).axes[0]
    assert axis.get_ylim()[0] == 0
    assert axis.get_ylim()[1] > 1.2
    assert all(float(tick).is_integer() for tick in axis.get_xticks())


def test_every_table_and_figure_has_its_recipe():
    tables = [f"table{number}" for number in range(1, 8)]
    assert [path.stem for path in RECIPES] == ["figure5", "figure6", *tables]


def test_runs_are_what_the_paper_compares(tmp_path):
    def of(name):
        recipe = read_recipe(next(path for path in RECIPES if path.stem == name))
        return recipe.training_options(tmp_path).values()

    assert [run.network for run in of("table1")] == ["unet", "attention-unet", "unetr", "swin-unetr", None, None]
    assert [run.lora_targets for run in of("table2")] == [(), None]
    assert [run.decoder_tuning for run in of("table3")] == ["lora", None]
    assert [run.rank for run in of("table4")] == [1, None, 16]
    assert [run.lora_targets for run in of("table5")] == [("q",), None, ("q", "k", "v", "o")]
    assert [(run.warmup, run.optimizer) for run in of("table6")] == [(0, "sgd"), (None, "sgd"), (None, "adamw")]
    of_each = [(0, "sgd", None), (None, "adamw", None), (0, "sgd", "lora"), (None, "adamw", "lora")]
    assert [(run.warmup, run.optimizer, run.encoder_tuning) for run in of("table7")] == 2 * of_each


@pytest.mark.parametrize(("tuning", "exact", "printed"), [("full", 19_711_360, 18.81), ("lora", 6_625_402, 6.32)])
def test_adapters_have_the_sizes_that_the_paper_prints(tmp_path, tuning, exact, printed):
    model = SAMed(SAMedConfig(decoder_tuning=tuning))
    model.metadata = model.metadata.replace(base=BaseWeights("sam_vit_b_01ec64.pth", "0" * 64))
    model.save_adapter(tmp_path / "last.safetensors")
    size = published_file_bytes(tmp_path / "last.safetensors")
    assert size == pytest.approx(exact, rel=0.002)  # the archive's own bytes vary with torch's version
    assert size / 2**20 == pytest.approx(printed, abs=0.02)
    if tuning == "full":
        assert 100 * size / 375_042_383 == pytest.approx(5.25, abs=0.01)


def test_sizes_stand_beside_the_scores(bench, capfd):
    assert experiment(bench, recipe_named("table3")) == 0
    report = json.loads((bench / "out" / "table3" / "report.json").read_text())
    small, full = report["sizes"]
    assert small["file_bytes"] < full["file_bytes"]
    assert small["trained_parameters"] < full["trained_parameters"]
    assert full["base_bytes"] == (bench / "base.pth").stat().st_size
    assert f"{full['file_bytes']:,}" in capfd.readouterr().out


def test_finished_runs_are_not_trained_again_and_recipes_share_them(bench, tmp_path, capfd):
    assert experiment(bench, recipe_named("table6"), output=tmp_path) == 0
    runs = {path.name: (path / "state.pt").stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert len(runs) == 3
    capfd.readouterr()
    assert experiment(bench, recipe_named("figure6"), recipe_named("table6"), output=tmp_path) == 0
    assert capfd.readouterr().out.count("is done") == 6
    assert {path.name: (path / "state.pt").stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()} == runs


def test_a_prepared_synapse_folder_holds_its_own_test_set(bench, tmp_path, capfd):
    dataset = DatasetFolder.open(bench / "train")
    (tmp_path / "train_npz").mkdir()
    (tmp_path / "test_vol_h5").mkdir()
    for number, name in enumerate(dataset.cases, start=5):
        volume, labels = dataset.read(name)
        images = window(volume.array)
        for k in range(len(images)):
            path = tmp_path / "train_npz" / f"case{number:04}_slice{k:03}.npz"
            np.savez(path, image=images[k], label=labels[k].astype(np.float32))
    with h5py.File(tmp_path / "test_vol_h5" / "case0001.npy.h5", "w") as file:
        file["image"], file["label"] = images, labels.astype(np.float32)
    fixed = [recipe_named("table2"), "--data", tmp_path, "--output", tmp_path / "out", "--set", "image_size=32"]
    small = [f"model_size={bench / 'network.json'}", f"base={bench / 'base.pth'}", "slice_size=32", "epochs=1"]
    assert main([str(argument) for argument in (*fixed, *small, "batch_size=9", "device=cpu")]) == 0
    report = json.loads((tmp_path / "out" / "table2" / "report.json").read_text())
    assert [case["case"] for case in report["runs"][1]["cases"]] == ["case0001"]
    assert "18 slices of 32 pixels" in capfd.readouterr().out


def test_predictions_of_another_method_stand_beside_the_runs(bench, capfd):
    """A copy of the references under other file names of the same cases: a perfect method."""
    other = bench / "other"
    other.mkdir()
    for name, files in DatasetFolder.open(bench / "test").cases.items():
        shutil.copy(files.labels, other / f"{name}.nii.gz")
    assert experiment(bench, recipe_named("figure5"), "--predictions", f"theirs={other}") == 0
    report = json.loads((bench / "out" / "figure5" / "report.json").read_text())
    assert [run["name"] for run in report["runs"]] == ["theirs", "SAMed", "SAMed_s", "decoder only"]
    found = [organ["dsc"]["mean"] for organ in report["runs"][0]["organs"].values()]
    assert max(found) == 1.0
    assert report["differences"][0]["baseline"] == "theirs"
    picture = matplotlib.image.imread(bench / "out" / "figure5" / "cases.png")
    assert picture.shape[1] / picture.shape[0] > 1
    capfd.readouterr()
    next(other.iterdir()).unlink()
    assert experiment(bench, recipe_named("figure5"), "--predictions", f"theirs={other}") == 1
    assert "has no prediction for" in capfd.readouterr().err


class StopsInRun(Reporter):
    """Asks to stop once a run has done its first step, as a person with Ctrl-C would."""

    def __init__(self, run: str) -> None:
        super().__init__(silent=True)
        self._run, self._seen = run, False

    @property
    def stop_requested(self) -> bool:
        return self._seen

    def metric(self, step: int, **values) -> None:
        self._seen = self._seen or values["run"] == self._run


def test_an_interrupted_experiment_goes_on_and_ends_as_if_it_had_not_been_interrupted(bench, tmp_path):
    (tmp_path / "two.json").write_text(
        '{"runs": {"a": {"lr": 0.001}, "b": {"lr": 0.002}}, "options": {"epochs": 2}, "report": ["losses"]}'
    )
    recipe = read_recipe(tmp_path / "two.json")
    small = {"model_size": bench / "network.json", "base": bench / "base.pth", "image_size": SIZE, "slice_size": SIZE}
    overrides = {**{key: str(value) for key, value in small.items()}, "device": "cpu", "batch_size": 9}

    def run(output, report=SILENT):
        folders = run_experiments([recipe], bench / "train", tmp_path / output, overrides=overrides, report=report)
        return folders[0]

    run("whole")
    with pytest.raises(Cancelled):
        run("cut", StopsInRun("b"))
    stopped = RunFolder(tmp_path / "cut" / "runs" / "b")
    assert [event["step"] for event in stopped.events()] == [1]
    first = RunFolder(tmp_path / "cut" / "runs" / "a").state_file.stat().st_mtime_ns
    results = run("cut")
    assert RunFolder(tmp_path / "cut" / "runs" / "a").state_file.stat().st_mtime_ns == first
    whole = load_file(tmp_path / "whole" / "runs" / "b" / "last.safetensors")
    resumed = load_file(stopped.adapter("last"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert (results / "losses.csv").read_text() == (tmp_path / "whole" / "two" / "losses.csv").read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not readable JSON"),
        ("[]", 'it needs "runs"'),
        ('{"runs": {}}', 'it needs "runs"'),
        ('{"runs": {"a": {"rnak": 1}}}', "no training option 'rnak'"),
        ('{"runs": {"a": {"rank": "one"}}}', "rank is 'one'; it must be a whole number"),
        ('{"runs": {"a": {"rank": 1.5}}}', "it must be a whole number"),
        ('{"runs": {"a": {"optimizer": "adam"}}}', "choose from adamw, sgd"),
        ('{"runs": {"a": {"data": "x"}}}', "give it with --data"),
        ('{"runs": {"a": {"rank": 1}, "b": {"rank": 1}}}', "'a' and 'b' are the same"),
        ('{"runs": {"a": {}}, "report": ["boxes"]}', "some of scores, sizes, cases, losses"),
        ('{"runs": {"a": {}}, "reports": []}', "unknown entry 'reports'"),
        ('{"runs": {"a": {"rank": 1}}, "options": {"epochs": 0}}', "--epochs is 0"),
    ],
)
def test_a_recipe_that_is_none_is_told_what_it_lacks(bench, tmp_path, capfd, content, message):
    (tmp_path / "mine.json").write_text(content)
    arguments = [tmp_path / "mine.json", "--data", bench / "train", "--test-data", bench / "test"]
    assert main([*map(str, arguments), "--output", str(tmp_path / "out")]) == 1
    said = capfd.readouterr().err.strip()
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "rank=2"], "table4 compares runs by their rank"),
        (["--set", "rank"], "is not KEY=VALUE"),
        (["--set", "epocs=2"], "no training option 'epocs'"),
        (["--set", "base=gone.pth", "--test-data", TEST_SET], "there is no model file gone.pth"),
        (["--test-data", "gone"], "gone is not a folder"),
        ([], "trained on and tested on"),
    ],
)
def test_what_cannot_work_is_said_before_any_training(bench, tmp_path, capfd, arguments, message):
    fixed = [recipe_named("table4"), "--data", bench / "train", "--output", tmp_path / "out"]
    given = ["--set", f"model_size={bench / 'network.json'}", f"base={bench / 'base.pth'}"]
    arguments = [bench / "test" if argument is TEST_SET else argument for argument in arguments]
    assert main([str(argument) for argument in (*fixed, *given, *arguments)]) == 1
    assert message in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def recipe_named(name: str) -> Path:
    return next(path for path in RECIPES if path.stem == name)
