"""From options to a finished run: starts and resumes training, says what will happen, and what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

import SAMedLib
from SAMedLib.data.slices import SliceSet
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.model import ModelMetadata
from SAMedLib.training.fabric import make_fabric
from SAMedLib.training.options import Timetable, TrainingOptions, timetable
from SAMedLib.training.preparation import Prepared, describe, load_data, make_batches, prepare
from SAMedLib.training.records import Records
from SAMedLib.training.run_folder import RunFolder
from SAMedLib.training.starting_model import resumed_model
from SAMedLib.training.state import load_state
from SAMedLib.training.trainer import Trainer


def train(options: TrainingOptions, output: str | Path, report: Reporter = SILENT) -> RunFolder:
    """Train a model into a new run folder.

    Raises:
        SAMedError: if the folder holds a run, or data, weights and options do not fit.
        Cancelled: when asked to stop; the run can be resumed.
    """
    folder = RunFolder(output)
    folder.check_new()
    prepared = prepare(options, report)
    for remark in prepared.remarks:
        report.note(remark)
    config = {
        "options": prepared.options.to_json(),
        "model": prepared.model.metadata.to_json(),
        "base_path": str(prepared.base.resolve()) if prepared.base else None,
        "data": _describe_data(prepared.training, prepared.validation),
        "timetable": dataclasses.asdict(prepared.times),
        "parts": prepared.parts,
        "software": _software(),
    }
    with _only_trainer(folder, prepared.fabric):
        if not prepared.fabric.global_rank:
            folder.check_new()  # another may have begun meanwhile
        records = _records(prepared, folder, config)
        with contextlib.closing(records) if records else contextlib.nullcontext():
            trainer = prepared.trainer(records, report)
            if records:
                records.save_state(trainer.state_dict())
                folder.write_config(config)
            _say_plan(report, prepared, config["data"])
            return _run(trainer, folder, report)


def resume(output: str | Path, changes: Mapping[str, Any] | None = None, report: Reporter = SILENT) -> RunFolder:
    """Go on with a run exactly where it stopped.

    Args:
        changes: options to change, of those that may change (options.CHANGEABLE); others must be as they were.

    Raises:
        SAMedError: if there is no run, or its data or base are not what they were.
        Cancelled: when asked to stop.
    """
    folder = RunFolder(output)
    config = folder.read_config()
    recorded, metadata, times = _read_description(folder, config)
    options = recorded.changed_for_resume(dict(changes or {}))
    fabric = make_fabric(options.device, options.precision)
    with _only_trainer(folder, fabric):
        state = load_state(folder.state_file)
        model = resumed_model(metadata, options.base or config["base_path"])
        training, validation = load_data(options, metadata, report)
        _check_unchanged(config["data"], _describe_data(training, validation))
        batches = make_batches(fabric, model, training, options)
        times = _extended(times, options)
        parts = options.accumulate or config["parts"]
        prepared = Prepared(options, fabric, model, training, validation, batches, times, parts)
        records = _records(prepared, folder, config, state["step"])
        with contextlib.closing(records) if records else contextlib.nullcontext():
            trainer = prepared.trainer(records, report)
            trainer.load_state_dict(state)
            if records:
                folder.append("resume", step=trainer.step)
                if trainer.step == times.total_steps:  # it may have died over its last curves
                    records.draw(final=True)
            report.say(f"Going on after step {trainer.step} of {times.total_steps}.")
            return _run(trainer, folder, report)


def _only_trainer(folder: RunFolder, fabric: Fabric) -> contextlib.AbstractContextManager:
    """The first process writes for all, so it is the one that must be alone."""
    return contextlib.nullcontext() if fabric.global_rank else folder.only_trainer()


def _read_description(folder: RunFolder, config: dict[str, Any]) -> tuple[TrainingOptions, ModelMetadata, Timetable]:
    """What config.json says, looked through before it is used. Raises SAMedError if some of it makes no sense."""
    remedy = f"start a new run with --start {folder.path}"
    try:
        options = TrainingOptions.from_json(config["options"])
        metadata = ModelMetadata.from_json(config["model"])
        times = Timetable(**config["timetable"])
        sensible = isinstance(config["parts"], int) and isinstance(config["base_path"], (str, type(None)))
        described = [config["data"][use] for use in ("training", "validation")]
        sensible = sensible and all(data is None or data.keys() >= {"cases", "slices"} for data in described)
    except SAMedError as error:
        raise SAMedError(f"{folder.config_file}: {error}") from error
    except (TypeError, KeyError, AttributeError) as error:
        raise SAMedError(f"{folder.config_file} is damaged; {remedy}.") from error
    if not sensible:
        raise SAMedError(f"{folder.config_file} is damaged; {remedy}.")
    return options, metadata, times


def _run(trainer: Trainer, folder: RunFolder, report: Reporter) -> RunFolder:
    trainer.run()
    best = folder.adapter("best")
    report.result(
        run=str(folder.path),
        adapter=str(best if best.is_file() else folder.adapter("last")),
        best_dice=trainer.best_dice,
        **trainer.progress(),
    )
    return folder


def _records(prepared: Prepared, folder: RunFolder, config: dict[str, Any], step: int = 0) -> Records | None:
    if prepared.fabric.global_rank > 0:
        return None
    options = prepared.options
    recorded = (
        "batch_size",
        "lr",
        "optimizer",
        "schedule",
        "augmentation",
        "precision",
        "ema",
        "seed",
        "init",
        "start",
    )
    provenance = {
        "data": config["data"],
        "training": {name: getattr(options, name) for name in recorded},
        "software": config["software"],
    }
    if options.start:
        provenance["training"]["start"] = Path(options.start).name
    return Records(folder, prepared.model.metadata.label_set, provenance, options.save_pth, step)


def _describe_data(training: SliceSet, validation: SliceSet | None) -> dict[str, Any]:
    return {"training": describe(training), "validation": validation and describe(validation)}


def _check_unchanged(before: dict[str, Any], now: dict[str, Any]) -> None:
    for use in ("training", "validation"):
        if before[use] != now[use]:
            was, found = (data[use] or {"cases": [], "slices": 0} for data in (before, now))
            raise SAMedError(
                f"The {use} data is not what the run started with ({len(was['cases'])} cases, {was['slices']} slices "
                f"then, {len(found['cases'])} cases, {found['slices']} slices now, or other labels); "
                f"start a new run from this one with --start."
            )


def _extended(times: Timetable, options: TrainingOptions) -> Timetable:
    """The run's timetable with another end; the learning rate keeps its course."""
    total = timetable(options, times.steps_per_epoch).total_steps
    if total > times.max_iterations:
        raise SAMedError(
            f"The run's learning rate reaches zero at step {times.max_iterations}, before step {total}; "
            f"start a new run from this one with --start."
        )
    return dataclasses.replace(times, total_steps=total, val_every=options.val_every or times.val_every)


def _software() -> dict[str, str]:
    return {"SAMedLib": SAMedLib.__version__, "torch": torch.__version__, "python": platform.python_version()}


def _say_plan(report: Reporter, prepared: Prepared, data: dict[str, Any]) -> None:
    """What will happen, before it does."""
    model, options, times = prepared.model, prepared.options, prepared.times
    training, validation = data["training"], data["validation"]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    counts = ", ".join(f"{name} {count}" for name, count in training["slices_with"].items())
    held_out = "none (hold out cases with --val-cases)"
    if validation:
        often = "every epoch" if times.val_every == 1 else f"every {times.val_every} epochs"
        held_out = f"{_count(validation)}, {often} ({', '.join(validation['cases'])})"
    lines = [
        f"Training:   {_count(training)} of {training['slice_size']} pixels",
        f"            slices with {counts}",
        f"Validation: {held_out}",
        f"Network:    {total:,} parameters, {trained:,} of them trained, {model.config.image_size} pixels, "
        f"{model.config.num_classes} classes with the background",
        f"Steps:      {times.total_steps}, {times.steps_per_epoch} an epoch, {options.batch_size} slices each; "
        f"learning rate {options.lr:g} after {times.warmup} steps of warmup, zero at step {times.max_iterations}",
    ]
    report.say("\n".join(lines))


def _count(data: dict[str, Any]) -> str:
    cases = len(data["cases"])
    return f"{cases} case{'s' * (cases != 1)}, {data['slices']} slices"
