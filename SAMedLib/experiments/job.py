"""From a recipe to its table and figures."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from SAMedLib.data.dataset_index import INDEX_NAME
from SAMedLib.data.folders import DatasetFolder
from SAMedLib.data.prepared import TEST_FOLDER
from SAMedLib.errors import SAMedError
from SAMedLib.evaluation.figures import as_png, box_plots
from SAMedLib.evaluation.html import Supplement, write_html
from SAMedLib.evaluation.job import NamedModel, Options, evaluate, named_path
from SAMedLib.evaluation.pairs import pair_files
from SAMedLib.evaluation.predicted import case_names
from SAMedLib.evaluation.report import as_text, table_as_text, write_csv, write_json
from SAMedLib.evaluation.runs import Evaluation
from SAMedLib.events import SILENT, Reporter, to_json_line
from SAMedLib.experiments.figures import loss_curves, loss_events, side_by_side
from SAMedLib.experiments.recipe import Recipe
from SAMedLib.experiments.runs import FINISHED, NEW, STOPPED, PlannedRun, plan_runs, train_runs
from SAMedLib.experiments.sizes import Sizes, sizes_of, sizes_table
from SAMedLib.files import write_then_rename
from SAMedLib.ranks import rank

_STATES = {NEW: "is to be trained", STOPPED: "goes on", FINISHED: "is done"}
_LOSSES = ("step", "epoch", "loss", "loss_ce", "loss_dice", "lr")
_CAPTIONS = {"cases.png": "Image, reference, and each run's prediction", "losses.png": "Training loss of each run"}


def run_experiments(
    recipes: Sequence[Recipe],
    data: Path,
    output: Path,
    test_data: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    predictions: Sequence[str] = (),
    pictures: int = 8,
    report: Reporter = SILENT,
) -> list[Path]:
    """Train the runs of recipes that are not trained yet, score them by the paper's protocol, and write the results.

    Runs lie in `output`/runs, for all recipes that are given this output; results in a folder with the recipe's name.
    Under torchrun the processes share the training, and the first one does the rest. Every run is judged by its last
    weights, as published, not by its best: choosing on test cases is no test.

    Args:
        data: what to train on.
        test_data: what to score on, a test_vol_h5 or a dataset folder; None for that of a prepared Synapse folder.
        overrides: training options that win over what a recipe's runs share.
        predictions: label files of other methods for the test cases, to score before the runs: [NAME=]FOLDER.
        pictures: how many of the worst cases the page shows.

    Returns:
        The folder of each recipe's results.

    Raises:
        SAMedError: if recipes, data, weights and options do not fit; as far as possible before any training.
        Cancelled: when asked to stop; the same call goes on from there.
    """
    results = [output / recipe.name for recipe in recipes]
    if len(set(results)) < len(results):
        raise SAMedError("Two of the recipes have the same file name, which is that of their results; rename one.")
    options = [recipe.training_options(data, overrides) for recipe in recipes]
    scored = None
    if any(recipe.needs_test_set for recipe in recipes):
        scored = _what_is_scored(_test_set(data, test_data), predictions)
    for wanted in options:
        plan_runs(wanted, output / "runs")
    trained = []
    for recipe, wanted in zip(recipes, options, strict=True):
        planned = plan_runs(wanted, output / "runs")
        report.say("\n".join([recipe.title, *(f"  {run.name}: {_STATES[run.state]}" for run in planned)]))
        train_runs(planned, report)
        trained.append(planned)
    if rank() == 0:
        for recipe, runs, folder in zip(recipes, trained, results, strict=True):
            _report(recipe, runs, scored if recipe.needs_test_set else None, folder, pictures, report)
    return results


def _test_set(data: Path, test_data: Path | None) -> Path:
    tested_on = test_data or data
    if test_data is None and (data / INDEX_NAME).is_file():
        raise SAMedError(f"{data} would be trained on and tested on; give other cases to test on with --test-data.")
    case_names(tested_on)
    return tested_on


def _what_is_scored(test_data: Path, predictions: Sequence[str]) -> Options:
    """Everything about the evaluation but the models.

    Raises:
        SAMedError: if predictions do not match the test cases by name.
    """
    options = Options(data=test_data, protocol="paper")
    if not predictions:
        return options
    if (test_data / INDEX_NAME).is_file():
        case = next(iter(DatasetFolder.open(test_data).cases.values()))
        references, images, labels = case.labels.parent, case.image.parent, str(test_data / INDEX_NAME)
    else:
        volumes = test_data / TEST_FOLDER
        references, images, labels = volumes if volumes.is_dir() else test_data, None, None
    for text in predictions:
        pair_files(named_path(text)[1], references)
    return dataclasses.replace(
        options, predictions=list(predictions), references=references, images=images, labels=labels
    )


def _report(
    recipe: Recipe, runs: Sequence[PlannedRun], scored: Options | None, results: Path, pictures: int, report: Reporter
) -> None:
    described: dict[str, Any] = {"title": recipe.title, "runs_trained": [_description(run) for run in runs]}
    figures: dict[str, Figure] = {}
    sizes: dict[str, Sizes] = {}
    if "sizes" in recipe.report:
        sizes = {run.name: sizes_of(run.folder) for run in runs}
        described["sizes"] = [
            {"run": name, **dataclasses.asdict(one), "share_of_base": one.share_of_base} for name, one in sizes.items()
        ]
    if "losses" in recipe.report:
        events = {run.name: run.folder.events() for run in runs}
        figures["losses.png"] = loss_curves(events)
        _write_losses(events, results / "losses.csv")
    evaluation = None
    if scored is not None:
        device = runs[0].options.device
        evaluation = evaluate(dataclasses.replace(scored, model=_models(runs), device=device), report)
        if "scores" in recipe.report:
            figures["organs.png"] = box_plots(evaluation)
        if "cases" in recipe.report:
            figures["cases.png"] = side_by_side(evaluation)
    drawn = {name: as_png(figure) for name, figure in figures.items()}
    for name, data in drawn.items():
        with write_then_rename(results / name) as temporary:
            temporary.write_bytes(data)
    tables = [sizes_table(sizes)] if sizes else []
    captioned = [(_CAPTIONS[name], data) for name, data in drawn.items() if name in _CAPTIONS]
    if evaluation is None:
        text = "\n\n".join(table_as_text(table) for table in tables)
        with write_then_rename(results / "report.json") as temporary:
            temporary.write_text(to_json_line(described), encoding="utf-8")
    else:
        text = as_text(evaluation, further=tables)
        _write_scores(evaluation, results, described, Supplement(recipe.title, tables, captioned), pictures, report)
    if text:
        with write_then_rename(results / "report.txt") as temporary:
            temporary.write_text(f"{recipe.title}\n\n{text}\n", encoding="utf-8")
    report.say("\n\n".join(part for part in (f"\n{recipe.title}", text, f"Results: {results}") if part))


def _models(runs: Sequence[PlannedRun]) -> list[NamedModel]:
    bases = [run.folder.read_config()["base_path"] for run in runs]
    return [NamedModel(run.name, str(run.folder.adapter("last")), base) for run, base in zip(runs, bases, strict=True)]


def _write_scores(
    evaluation: Evaluation,
    results: Path,
    described: Mapping[str, Any],
    supplement: Supplement,
    pictures: int,
    report: Reporter,
) -> None:
    write_csv(evaluation, results / "scores.csv")
    write_json(evaluation, results / "report.json", **described)
    write_html(evaluation, results / "report.html", pictures, report, supplement)


def _write_losses(runs: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    with write_then_rename(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *_LOSSES])
        for name, events in runs.items():
            for event in loss_events(events):
                writer.writerow([name, *("" if event[key] is None else event[key] for key in _LOSSES)])


def _description(run: PlannedRun) -> dict[str, Any]:
    config = run.folder.read_config()
    return {"run": run.name, "folder": str(run.folder.path), **{key: config[key] for key in ("options", "timetable")}}
