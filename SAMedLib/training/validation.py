"""Validation by case: which cases to hold out, and Dice and HD95 of each organ on them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from SAMedLib.data.slices import SliceSet
from SAMedLib.errors import SAMedError
from SAMedLib.evaluation.measure import measure_labels
from SAMedLib.imaging.resample import zoom_cubic, zoom_nearest
from SAMedLib.inference.cpu_encoder import prepare_for_cpu
from SAMedLib.model.network import Network
from SAMedLib.organs import LabelSet
from SAMedLib.training.batches import HeldSlices

# Of a slice in training, by Testing/Benchmarks/validation.py: 0.42 for the embedded model's size on a CPU.
_SLICE_COST = 0.45
_HIGHEST_SHARE = 0.05
_FEWEST = 10


def split_cases(names: list[str], held_out: str, seed: int) -> tuple[list[str], list[str]]:
    """Cases to train on and cases to validate on.

    Args:
        names: all cases; their order does not matter.
        held_out: how many ("2"), which fraction ("0.1", at least one case), or names separated by commas.
        seed: decides which ones, where names are not given.

    Raises:
        SAMedError: if a name is unknown or no case is left to train on.
    """
    names = sorted(names)
    try:
        number = float(held_out)
    except ValueError:
        chosen = [name.strip() for name in held_out.split(",") if name.strip()]
        unknown = [name for name in chosen if name not in names]
        if unknown:
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise SAMedError(f"--val-cases names {unknown[0]}, which is not in the data; choose from {some}.") from None
    else:
        is_fraction = "." in held_out and 0 < number < 1
        if number < 0 or not (is_fraction or number.is_integer()):
            raise SAMedError(f"--val-cases is {held_out}; give a number of cases, a fraction below 1, or case names.")
        count = max(1, round(number * len(names))) if is_fraction else int(number)
        chosen = list(np.random.default_rng([seed, count]).permutation(names)[:count])
    training = [name for name in names if name not in chosen]
    if not training:
        raise SAMedError(f"--val-cases {held_out} leaves none of the {len(names)} cases to train on; hold out fewer.")
    return training, [name for name in names if name in chosen]


def epochs_between_validations(training: int, validation: int, epochs: int) -> int:
    """How seldom to validate so that it takes less than a twentieth of the training, but ten times in a run.

    Args:
        training, validation: slices.
        epochs: of the run.
    """
    share = _SLICE_COST * validation / training
    return max(1, min(math.ceil(share / _HIGHEST_SHARE - 1e-9), epochs // _FEWEST))


@dataclass(frozen=True)
class Validation:
    """Dice and HD95 of one validation.

    Attributes:
        dice: by organ name: the mean over cases; None where no case has the organ.
        mean: over the organs that have a value.
        hd95: by organ name, in voxels of the slices at their size in training: the mean over the cases where both
            prediction and reference have the organ; None where none does.
        mean_hd95: over the organs that have a value, None if none has.
    """

    dice: dict[str, float | None]
    mean: float
    hd95: dict[str, float | None]
    mean_hd95: float | None


class Validator:
    """Segments held-out cases at the network's image size and pools each case's slices, as whole volumes are judged.

    Dice is that of the network's pixels; an organ counts in the cases whose reference has it. HD95 is measured after
    bringing the labels back to the slices' size with order 0, as the published test does, in voxels. This is cheap
    enough for every epoch; figures for a publication come from the evaluate command, on the volumes themselves.

    Args:
        slices: the held-out cases.
        batch_size: slices at once.
        mixed: training computes in less than float32, so validation may.
        rank, world_size: the processes share the slices.
    """

    def __init__(
        self,
        slices: SliceSet,
        device: torch.device,
        batch_size: int,
        mixed: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._dtype, self._batch_size = torch.bfloat16 if mixed else torch.float32, batch_size
        self._held = HeldSlices(slices, device)
        self._label_set: LabelSet = slices.label_set
        case_names = sorted(set(slices.cases))
        self._cases = torch.tensor([case_names.index(name) for name in slices.cases])
        self._case_count = len(case_names)
        self._reference = slices.labels
        self._rank, self._world_size = rank, world_size
        mine = np.array_split(np.arange(len(self._held)), world_size)[rank]
        self._batches = [
            torch.from_numpy(b) for b in np.split(mine, range(batch_size, len(mine), batch_size)) if len(b)
        ]

    def measure(self, model: Network, autocast: Callable, on_batch: Callable[[int, int], None]) -> Validation:
        """Dice and HD95 of `model`, over the slices of all ranks.

        Args:
            autocast: makes the context in which the network computes.
            on_batch: told how many of how many batches are done.
        """
        classes = self._label_set.num_classes
        counts = torch.zeros(self._case_count * classes * classes, dtype=torch.int64, device=self._held.device)
        predictions = torch.zeros(self._reference.shape, dtype=torch.uint8, device=self._held.device)
        model.eval()
        try:
            network, context = self._for_inference(model, autocast)
            for done, indices in enumerate(self._batches, start=1):
                labels, predicted = self._segment(network, indices, context)
                counts += self._confusion(indices, labels, predicted, len(counts))
                predictions[indices.to(predictions.device)] = zoom_nearest(predicted, predictions.shape[1:]).byte()
                on_batch(done, len(self._batches))
        finally:
            model.train()
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(counts)
            dist.all_reduce(predictions)  # each slice is zero on all ranks but one
        distances = self._distances(predictions.cpu().numpy())
        return _summary(counts.view(self._case_count, classes, classes).cpu().numpy(), distances, self._label_set)

    def _for_inference(self, model: Network, autocast: Callable) -> tuple[Network, Callable]:
        """On a CPU the network that inference uses there, which needs no autocast."""
        prepared = None
        if self._held.device.type == "cpu":
            prepared = prepare_for_cpu(model, self._dtype, self._batch_size)
        return (model, autocast) if prepared is None else (prepared, contextlib.nullcontext)

    @torch.no_grad()
    def _segment(self, model: Network, indices: Tensor, autocast: Callable) -> tuple[Tensor, Tensor]:
        """Reference and predicted labels [b,I,I] of these slices, at the network's size."""
        images, labels = self._held.take(indices)
        size = (model.config.image_size,) * 2
        if tuple(images.shape[-2:]) != size:
            images, labels = zoom_cubic(images, size), zoom_nearest(labels, size)
        with autocast():
            return labels, model(images[:, None]).masks.argmax(dim=1)

    def _confusion(self, indices: Tensor, labels: Tensor, predicted: Tensor, length: int) -> Tensor:
        """Pixels by case, reference class and predicted class, flattened."""
        cases = self._cases[indices].to(labels.device)[:, None, None]
        classes = self._label_set.num_classes
        return torch.bincount(((cases * classes + labels) * classes + predicted).flatten(), minlength=length)

    def _distances(self, predictions: np.ndarray) -> np.ndarray:
        """HD95 [cases, organs], not-a-number where the organ is not in both; the ranks share the cases."""
        organs = len(self._label_set.labels)
        distances = torch.zeros((self._case_count, organs), dtype=torch.float64)
        cases = self._cases.numpy()
        for case in range(self._rank, self._case_count, self._world_size):
            there = cases == case
            measured = measure_labels(predictions[there], self._reference[there], organs)
            distances[case] = torch.tensor([np.nan if one.hd95 is None else one.hd95 for one in measured])
        if dist.is_available() and dist.is_initialized():
            distances = distances.to(self._held.device)
            dist.all_reduce(distances)
        return distances.cpu().numpy()


def _summary(confusion: np.ndarray, distances: np.ndarray, label_set: LabelSet) -> Validation:
    """From counts [cases, reference class, predicted class], and HD95 [cases, organs]."""
    overlap = np.diagonal(confusion, axis1=1, axis2=2)
    reference, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    dice: dict[str, float | None] = {}
    for label in label_set:
        has = reference[:, label.value] > 0
        sizes = reference[has, label.value] + predicted[has, label.value]
        dice[label.name] = float((2.0 * overlap[has, label.value] / sizes).mean()) if has.any() else None
    columns = zip(label_set, distances.T, strict=True)
    hd95 = {label.name: _mean(column[np.isfinite(column)]) for label, column in columns}
    means = [_mean([value for value in values.values() if value is not None]) for values in (dice, hd95)]
    return Validation(dice, means[0] or 0.0, hd95, means[1])


def _mean(values: Sequence[float] | np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None
