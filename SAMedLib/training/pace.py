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
_STAGES = 3  # pieces of a step, whole steps, validation
_REPETITIONS = 3
_SLICES_OF_A_PIECE = 4
# nothing can be cancelled while a piece of work lasts; a step that takes longer is measured in smaller pieces
_LONGEST_PIECE = 6.0


@dataclasses.dataclass(frozen=True)
class Pace:
    """Attributes: seconds of a training step, and of measuring all validation slices once; 0 without validation."""

    step: float
    validation: float

    def of_run(self, prepared: Prepared) -> float:
        """Seconds that the whole run takes."""
        times = prepared.times
        validations = -(-times.total_steps // (times.steps_per_epoch * times.val_every))
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
    report.progress(_STAGE, 0, _STAGES)
    try:
        trainer = endless.trainer()
        alone, each = _measure_pieces(trainer, endless, report)
        in_a_step = min(endless.options.batch_size, len(endless.training)) // endless.fabric.world_size
        step = alone + each * (in_a_step - 1)
        if step <= _LONGEST_PIECE:
            step = _measure_steps(trainer, endless, report)
        report.progress(_STAGE, 2, _STAGES)
        validation = _measure_validation(trainer, endless, each)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None
    report.progress(_STAGE, _STAGES, _STAGES)
    return Pace(step, validation)


def memory_bytes(prepared: Prepared) -> int:
    """Estimated memory of the training: slices, weights, gradients, moments, and the activations of one part."""
    held = [slices for slices in (prepared.training, prepared.validation) if slices is not None]
    data = sum(slices.images.nbytes + slices.labels.nbytes for slices in held)
    weights = sum(p.numel() * p.element_size() for p in prepared.model.parameters())
    trained = sum(p.numel() for p in prepared.model.parameters() if p.requires_grad)
    at_once = -(-prepared.options.batch_size // prepared.fabric.world_size // prepared.parts)
    config = prepared.model.config
    activations = activation_bytes(config, prepared.mixed, prepared.options.label_size(config))
    return data + weights + 12 * trained + activations * at_once


def _measure_pieces(trainer: Trainer, prepared: Prepared, report: Reporter) -> tuple[float, float]:
    """Seconds of a step with a single slice, and of every slice more.

    The first has the optimiser in it, which for networks that are trained whole takes longer than a slice.
    """
    slices = prepared.batches.parts(0, prepared.options.batch_size)
    alone = _seconds_of_second(trainer, slices, report)
    if len(slices) == 1 or 2 * alone > _LONGEST_PIECE:
        return alone, alone
    few = max(1, len(slices) // _SLICES_OF_A_PIECE)
    pieces = prepared.batches.parts(0, few)
    size = len(pieces[-1].images)
    together = _seconds_of_second(trainer, pieces, report)
    each = (together - alone) / (size - 1)
    return alone, each if each > 0 else together / size


def _seconds_of_second(trainer: Trainer, pieces: Sequence[Part], report: Reporter) -> float:
    """Seconds of a step with one of these pieces; the first step of a size is slow and does not count."""
    _seconds(trainer, pieces[:1])
    report.check_cancelled()
    return _seconds(trainer, pieces[-1:])


def _measure_steps(trainer: Trainer, prepared: Prepared, report: Reporter) -> float:
    taken = []
    for number in range(_REPETITIONS):
        report.progress(_STAGE, 1, _STAGES)
        start = time.perf_counter()
        trainer.take_step(prepared.batches.parts(number, prepared.parts))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


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
