"""Before a training: is the data what its user thinks, what will happen, how long will it take?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from SAMedLib.durations import in_words
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.files import check_writable
from SAMedLib.ranks import world_size
from SAMedLib.training.findings import LabelCount, count_labels, grid_remarks, intensity_remarks, label_remarks
from SAMedLib.training.memory import free_memory
from SAMedLib.training.options import TrainingOptions
from SAMedLib.training.pace import measure_pace, memory_bytes
from SAMedLib.training.preparation import prepare
from SAMedLib.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Check:
    """What a training with these options would do.

    Attributes:
        training_cases, validation_cases: their names.
        slices: to train on.
        labels: by name, in the order of the label set.
        steps: of the whole run, and of one epoch.
        seconds_per_step: measured; None if a step did not fit into memory.
        estimated_seconds: of the whole run with its validations.
        memory_bytes: estimated, on the device, of which `free_bytes` are free now.
        parts: in which a step is computed to fit into memory.
        device: torch's name.
        notes: sentences for the user.
    """

    training_cases: tuple[str, ...]
    validation_cases: tuple[str, ...]
    slices: int
    labels: dict[str, LabelCount]
    steps: int
    steps_per_epoch: int
    seconds_per_step: float | None
    estimated_seconds: float | None
    memory_bytes: int
    free_bytes: int
    parts: int
    device: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"cases": len(self.training_cases) + len(self.validation_cases), **dataclasses.asdict(self)}

    def as_text(self) -> str:
        """For people."""
        width = max(len(name) for name in self.labels)
        lines = [
            f"Training:   {_number_of_cases(len(self.training_cases))}, {self.slices} slices",
            f"Validation: {_number_of_cases(len(self.validation_cases))} ({', '.join(self.validation_cases)})"
            if self.validation_cases
            else "Validation: none (hold out cases with --val-cases)",
            "Labels:",
            *(
                f"  {name:<{width}}  {_number_of_cases(count.cases)}, {count.voxels:,} voxels"
                for name, count in self.labels.items()
            ),
            f"Steps:      {self.steps}, {self.steps_per_epoch} an epoch"
            + (f", each in {self.parts} parts" if self.parts > 1 else ""),
            f"Time:       {self._time()}",
            f"Memory:     about {_in_bytes(self.memory_bytes)}, {_in_bytes(self.free_bytes)} are free",
        ]
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)])

    def _time(self) -> str:
        if self.seconds_per_step is None or self.estimated_seconds is None:
            return "not known"
        return f"{in_words(self.estimated_seconds)} on {self.device}, {self.seconds_per_step:.2g} s a step"


def check(options: TrainingOptions, output: str | Path | None = None, report: Reporter = SILENT) -> Check:
    """Prepare a training as `train` would, take a few steps in memory, and say what was found; writes no run.

    Slices that were slow to read are kept for the training that follows, as `train` keeps them.

    Raises:
        SAMedError: for all that would keep the training from starting.
        Cancelled: if the user asked to stop.
    """
    if world_size() > 1:
        raise SAMedError("--check looks at the data in one process; start it without torchrun.")
    if output is not None:
        RunFolder(output).check_new()
        check_writable(Path(output), folder=True)
    notes = [
        note for folder in (options.data, options.val_data) if folder for note in grid_remarks(Path(folder), report)
    ]
    prepared = prepare(options, report)
    training, validation = prepared.training, prepared.validation
    notes += prepared.remarks
    for slices in filter(None, (training, validation)):
        notes += intensity_remarks(slices, prepared.model.metadata.window)
    labels = count_labels(training, validation)
    notes += label_remarks(labels, validates=validation is not None)
    needed, free = memory_bytes(prepared), free_memory(prepared.fabric.device)
    pace = measure_pace(prepared, report)
    if pace is None:
        notes.append("A training step does not fit into memory; close other programs, or raise --accumulate.")
    return Check(
        training_cases=tuple(training.case_names),
        validation_cases=tuple(validation.case_names) if validation else (),
        slices=len(training),
        labels=labels,
        steps=prepared.times.total_steps,
        steps_per_epoch=prepared.times.steps_per_epoch,
        seconds_per_step=pace.step if pace else None,
        estimated_seconds=pace.of_run(prepared) if pace else None,
        memory_bytes=needed,
        free_bytes=free,
        parts=prepared.parts,
        device=str(prepared.fabric.device),
        notes=tuple(notes),
    )


def _number_of_cases(count: int) -> str:
    return f"{count} case{'s' * (count != 1)}"


def _in_bytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"
