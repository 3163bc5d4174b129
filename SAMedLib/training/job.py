"""From options to a finished run: finds the data and the weights, builds the trainer, says what will happen."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

import SAMedLib
from SAMedLib.data.augment import get_augmentation
from SAMedLib.data.slices import SliceSet, load_slices
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.model import ModelMetadata, SAMed
from SAMedLib.training.batches import Batches
from SAMedLib.training.fabric import make_fabric
from SAMedLib.training.memory import parts_that_fit
from SAMedLib.training.options import Timetable, TrainingOptions, timetable
from SAMedLib.training.records import Records
from SAMedLib.training.run_folder import RunFolder
from SAMedLib.training.starting_model import resumed_model, starting_point
from SAMedLib.training.state import load_state
from SAMedLib.training.trainer import Trainer
from SAMedLib.training.validation import Validator, split_cases


def train(options: TrainingOptions, output: str | Path, report: Reporter = SILENT) -> RunFolder:
    """Train a model into a new run folder.

    Raises:
        SAMedError: if the folder holds a run, or data, weights and options do not fit.
        Cancelled: when asked to stop; the run can be resumed.
    """
    folder = RunFolder(output)
    folder.check_new()
    options = options.with_absolute_folders()
    start = starting_point(options)
    fabric = make_fabric(options.device, options.precision)
    torch.manual_seed(options.seed)
    training, validation = _load_data(options, start.metadata, report)
    model, remarks = start.build(training.label_set)
    for remark in remarks:
        report.note(remark)
    batches = _batches(fabric, model, training, options)
    times = timetable(options, batches.steps_per_epoch)
    parts = _parts(fabric, model, options, report)
    config = {
        "options": options.to_json(),
        "model": model.metadata.to_json(),
        "base_path": str(start.base.resolve()) if start.base else None,
        "data": {"training": _describe(training), "validation": validation and _describe(validation)},
        "timetable": dataclasses.asdict(times),
        "parts": parts,
        "software": _software(),
    }
    records = _records(fabric, folder, model, options, config)
    validator = _validator(fabric, validation, options, parts)
    trainer = Trainer(fabric, model, batches, options, times, parts, validator, records, report)
    if records:
        records.save_state(trainer.state_dict())
        folder.write_config(config)
    _say_plan(report, model, options, config, times)
    return _run(trainer, records, folder, report)


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
    options = TrainingOptions.from_json(config["options"]).changed_for_resume(dict(changes or {}))
    state = load_state(folder.state_file)
    metadata = ModelMetadata.from_json(config["model"])
    model = resumed_model(metadata, options.base or config["base_path"])
    fabric = make_fabric(options.device, options.precision)
    training, validation = _load_data(options, metadata, report)
    data = {"training": _describe(training), "validation": validation and _describe(validation)}
    _check_unchanged(config["data"], data)
    batches = _batches(fabric, model, training, options)
    times = _extended(Timetable(**config["timetable"]), options)
    records = _records(fabric, folder, model, options, config, state["step"])
    parts = options.accumulate or config["parts"]
    validator = _validator(fabric, validation, options, parts)
    trainer = Trainer(fabric, model, batches, options, times, parts, validator, records, report)
    trainer.load_state_dict(state)
    if records:
        folder.append("resume", step=trainer.step)
    report.say(f"Going on after step {trainer.step} of {times.total_steps}.")
    return _run(trainer, records, folder, report)


def _run(trainer: Trainer, records: Records | None, folder: RunFolder, report: Reporter) -> RunFolder:
    try:
        trainer.run()
    finally:
        if records:
            records.close()
    best = folder.adapter("best")
    report.result(
        run=str(folder.path),
        adapter=str(best if best.is_file() else folder.adapter("last")),
        best_dice=trainer.best_dice,
        **trainer.progress(),
    )
    return folder


def _load_data(options: TrainingOptions, metadata: ModelMetadata, report: Reporter) -> tuple[SliceSet, SliceSet | None]:
    def load(folder: str) -> SliceSet:
        slice_size = metadata.config.slice_size
        return load_slices(Path(folder), slice_size, metadata.window, metadata.orientation, report)

    slices = load(options.data)
    if options.val_data is not None:
        validation = load(options.val_data)
        if validation.label_set.names != slices.label_set.names:
            raise SAMedError(
                f"{options.val_data} has the labels {', '.join(validation.label_set.names)}, but {options.data} has "
                f"{', '.join(slices.label_set.names)}; validate on data with the same labels."
            )
        return slices, validation
    training, held_out = split_cases(slices.case_names, options.val_cases, options.seed)
    if not held_out:
        return slices, None
    return slices.subset(training), slices.subset(held_out)


def _batches(fabric: Fabric, model: SAMed, slices: SliceSet, options: TrainingOptions) -> Batches:
    augmentation = get_augmentation(options.augmentation)
    return Batches(
        slices,
        model.config,
        augmentation,
        options.batch_size,
        options.seed,
        fabric.device,
        fabric.global_rank,
        fabric.world_size,
    )


def _parts(fabric: Fabric, model: SAMed, options: TrainingOptions, report: Reporter) -> int:
    """Parts in which a step is computed."""
    if options.accumulate:
        return options.accumulate
    mine = -(-options.batch_size // fabric.world_size)
    mixed = fabric.strategy.precision.precision != "32-true"
    parts = parts_that_fit(model.config, mine, fabric.device, mixed)
    if parts > 1:
        report.note(f"The memory does not hold a batch: each step is computed in {parts} parts (see --accumulate).")
    return parts


def _validator(fabric: Fabric, validation: SliceSet | None, options: TrainingOptions, parts: int) -> Validator | None:
    if validation is None:
        return None
    at_once = max(1, options.batch_size // fabric.world_size // parts)
    return Validator(validation, fabric.device, at_once, fabric.global_rank, fabric.world_size)


def _records(
    fabric: Fabric, folder: RunFolder, model: SAMed, options: TrainingOptions, config: dict[str, Any], step: int = 0
) -> Records | None:
    if fabric.global_rank > 0:
        return None
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
    return Records(folder, model.metadata.label_set, provenance, options.save_pth, step)


def _describe(slices: SliceSet) -> dict[str, Any]:
    present = {label.name: (slices.labels == label.value).any(axis=(1, 2)) for label in slices.label_set}
    return {
        "cases": list(slices.case_names),
        "slices": len(slices.images),
        "slice_size": int(slices.images.shape[-1]),
        "slices_with": {name: int(np.count_nonzero(found)) for name, found in present.items()},
    }


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
    return dataclasses.replace(times, total_steps=total)


def _software() -> dict[str, str]:
    return {"SAMedLib": SAMedLib.__version__, "torch": torch.__version__, "python": platform.python_version()}


def _say_plan(
    report: Reporter, model: SAMed, options: TrainingOptions, config: dict[str, Any], times: Timetable
) -> None:
    """What will happen, before it does."""
    training, validation = config["data"]["training"], config["data"]["validation"]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    counts = ", ".join(f"{name} {count}" for name, count in training["slices_with"].items())
    held_out = "none (hold out cases with --val-cases)"
    if validation:
        held_out = f"{_count(validation)} ({', '.join(validation['cases'])})"
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
