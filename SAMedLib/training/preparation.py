"""Everything that a run needs before its first step: the data, the network, the device, how long and in which parts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from SAMedLib.data.augment import get_augmentation
from SAMedLib.data.slices import SliceSet, load_slices
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.model import ModelMetadata, SAMed
from SAMedLib.training.batches import Batches
from SAMedLib.training.fabric import is_emulated, make_fabric
from SAMedLib.training.memory import parts_that_fit
from SAMedLib.training.options import Timetable, TrainingOptions, timetable
from SAMedLib.training.records import Records
from SAMedLib.training.starting_model import starting_point
from SAMedLib.training.trainer import Trainer
from SAMedLib.training.validation import Validator, epochs_between_validations, split_cases


@dataclass(frozen=True)
class Prepared:
    """A run that could begin; nothing of it is on disk.

    Attributes:
        training, validation: the slices, None where no case is held out.
        parts: parts in which a step is computed.
        base: the SAM weights that were loaded, None if there are none.
        remarks: sentences for the user about what was decided.
    """

    options: TrainingOptions
    fabric: Fabric
    model: SAMed
    training: SliceSet
    validation: SliceSet | None
    batches: Batches
    times: Timetable
    parts: int
    base: Path | None = None
    remarks: tuple[str, ...] = ()

    @property
    def mixed(self) -> bool:
        return is_mixed(self.fabric)

    @property
    def slices_at_once(self) -> int:
        """Slices of this process that are in memory together."""
        return max(1, self.options.batch_size // self.fabric.world_size // self.parts)

    def trainer(self, records: Records | None = None, report: Reporter = SILENT) -> Trainer:
        return Trainer(
            self.fabric,
            self.model,
            self.batches,
            self.options,
            self.times,
            self.parts,
            self.validation and self.validator(self.validation),
            records,
            report,
        )

    def validator(self, slices: SliceSet) -> Validator:
        fabric = self.fabric
        return Validator(slices, fabric.device, self.slices_at_once, self.mixed, fabric.global_rank, fabric.world_size)


def prepare(options: TrainingOptions, report: Reporter = SILENT) -> Prepared:
    """Find, load and build what a new run with these options needs.

    Raises:
        SAMedError: if data, weights and options do not fit.
        Cancelled: when asked to stop.
    """
    options = options.with_absolute_folders()
    start = starting_point(options)
    fabric = make_fabric(options.device, options.precision)
    torch.manual_seed(options.seed)
    training, validation = load_data(options, start.metadata, report)
    model, remarks = start.build(training.label_set)
    batches = make_batches(fabric, model, training, options)
    times = timetable(options, batches.steps_per_epoch)
    if options.val_every is None and validation is not None:
        often = epochs_between_validations(len(training), len(validation), times.epochs)
        times = dataclasses.replace(times, val_every=often)
    if is_emulated(options.precision, fabric.device.type):
        remarks.append("This CPU has no bfloat16 instructions: it computes in fp32, which is many times faster here.")
    parts = options.accumulate
    if parts is None:
        mine = -(-options.batch_size // fabric.world_size)
        parts = parts_that_fit(model.config, mine, fabric.device, is_mixed(fabric), options.label_size(model.config))
        if parts > 1:
            remarks.append(
                f"The memory does not hold a batch: each step is computed in {parts} parts (see --accumulate)."
            )
    return Prepared(options, fabric, model, training, validation, batches, times, parts, start.base, tuple(remarks))


def load_data(options: TrainingOptions, metadata: ModelMetadata, report: Reporter) -> tuple[SliceSet, SliceSet | None]:
    """Slices to train on, and to validate on."""

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
    _, held_out = split_cases(slices.case_names, options.val_cases, options.seed)
    return slices.split(held_out) if held_out else (slices, None)


def make_batches(fabric: Fabric, model: SAMed, slices: SliceSet, options: TrainingOptions) -> Batches:
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
        options.label_size(model.config),
    )


def describe(slices: SliceSet) -> dict[str, Any]:
    """What the records of a run say about its data."""
    present = {label.name: (slices.labels == label.value).any(axis=(1, 2)) for label in slices.label_set}
    return {
        "cases": list(slices.case_names),
        "slices": len(slices.images),
        "slice_size": int(slices.images.shape[-1]),
        "slices_with": {name: int(np.count_nonzero(found)) for name, found in present.items()},
    }


def is_mixed(fabric: Fabric) -> bool:
    """Whether most activations take two bytes instead of four."""
    return fabric.strategy.precision.precision != "32-true"
