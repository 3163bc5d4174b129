"""How fast a training will go, measured by doing a little of it."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence

from SAMedLib.errors import is_out_of_memory
from SAMedLib.events import SILENT, Reporter
from SAMedLib.training.batches import Part
from SAMedLib.training.memory import activation_bytes
from SAMedLib.training.preparation import Prepared
from SAMedLib.training.trainer import Trainer

_STAGE = "measuring the speed"
_REPETITIONS = 3
# nothing can be cancelled while a piece of work lasts; a step that takes longer is measured in smaller pieces
_LONGEST_PIECE = 6.0


@dataclasses.dataclass(frozen=True)
class Pace:
    """Attributes: seconds of a training step, and of measuring all validation slices once; 0 without validation."""

    step: float
    validation: float

    def of_run(self, prepared: Prepared) -> float:
        """Seconds that the whole run takes."""
        times, every = prepared.times, prepared.options.val_every
        validations = -(-times.total_steps // (times.steps_per_epoch * every))
        return self.step * times.total_steps + self.validation * validations


def measure_pace(prepared: Prepared, report: Reporter = SILENT) -> Pace | None:
    """Take a few real steps in memory; None if memory does not hold them. The model is changed by it.

    Raises:
        SAMedError: if the loss is not a number.
        Cancelled: if the user asked to stop.
    """
    # a run of a single step would be over, and its learning rate negative, before anything is measured
    times = dataclasses.replace(prepared.times, total_steps=1000, max_iterations=1000)
    endless = dataclasses.replace(prepared, times=times)
    total = 2 * _REPETITIONS
    report.progress(_STAGE, 0, total)
    try:
        trainer = endless.trainer()
        slice_seconds = _warm_up(trainer, endless)
        report.progress(_STAGE, _REPETITIONS, total)
        in_a_step = min(endless.options.batch_size, len(endless.training)) // endless.fabric.world_size
        if slice_seconds * in_a_step > _LONGEST_PIECE:
            step = _measure_in_pieces(trainer, endless, max(1, int(_LONGEST_PIECE / slice_seconds)), report)
        else:
            step = _measure_steps(trainer, endless, report)
        validation = _measure_validation(trainer, endless, slice_seconds)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    report.progress(_STAGE, total, total)
    return Pace(step, validation)


def memory_bytes(prepared: Prepared) -> int:
    """Estimated memory of the training: slices, weights, gradients, moments, and the activations of one part."""
    held = [slices for slices in (prepared.training, prepared.validation) if slices is not None]
    data = sum(slices.images.nbytes + slices.labels.nbytes for slices in held)
    weights = sum(p.numel() * p.element_size() for p in prepared.model.parameters())
    trained = sum(p.numel() for p in prepared.model.parameters() if p.requires_grad)
    at_once = -(-prepared.options.batch_size // prepared.fabric.world_size // prepared.parts)
    return data + weights + 12 * trained + activation_bytes(prepared.model.config, prepared.mixed) * at_once


def _warm_up(trainer: Trainer, prepared: Prepared) -> float:
    """Seconds of one slice; the first ones are slow and do not count."""
    slices = prepared.batches.parts(0, prepared.options.batch_size)[:_REPETITIONS]
    return [_seconds(trainer, [one]) for one in slices][-1]


def _measure_steps(trainer: Trainer, prepared: Prepared, report: Reporter) -> float:
    taken = []
    for number in range(_REPETITIONS):
        start = time.perf_counter()
        trainer.take_step(prepared.batches.parts(number, prepared.parts))
        taken.append(time.perf_counter() - start)
        report.progress(_STAGE, _REPETITIONS + number, 2 * _REPETITIONS)
    return statistics.median(taken)


def _measure_in_pieces(trainer: Trainer, prepared: Prepared, at_once: int, report: Reporter) -> float:
    start = time.perf_counter()
    count = max(prepared.parts, -(-prepared.options.batch_size // at_once))
    pieces = prepared.batches.parts(0, count)
    preparing = time.perf_counter() - start
    taken = []
    for number, piece in enumerate(pieces[: _REPETITIONS - 1]):
        taken.append(_seconds(trainer, [piece]))
        report.progress(_STAGE, _REPETITIONS + number, 2 * _REPETITIONS)
    return preparing + statistics.median(taken) * len(pieces)


def _measure_validation(trainer: Trainer, prepared: Prepared, slice_seconds: float) -> float:
    slices = prepared.validation
    if slices is None:
        return 0.0
    count = max(1, min(len(slices), prepared.slices_at_once, int(_LONGEST_PIECE / slice_seconds)))
    few = dataclasses.replace(
        slices, images=slices.images[:count], labels=slices.labels[:count], cases=slices.cases[:count]
    )
    start = time.perf_counter()
    prepared.validator(few).measure(trainer.model, prepared.fabric.autocast, lambda done, total: None)
    return (time.perf_counter() - start) * len(slices) / count


def _seconds(trainer: Trainer, parts: Sequence[Part]) -> float:
    start = time.perf_counter()
    trainer.take_step(parts)  # its losses come back as numbers, so the device is done
    return time.perf_counter() - start
