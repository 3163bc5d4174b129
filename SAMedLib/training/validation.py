"""Validation by case: which cases to hold out, and the Dice of each organ on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from SAMedLib.data.slices import SliceSet
from SAMedLib.errors import SAMedError
from SAMedLib.imaging.resample import zoom_cubic, zoom_nearest
from SAMedLib.model.samed import SAMed
from SAMedLib.organs import LabelSet
from SAMedLib.training.batches import HeldSlices


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
            raise SAMedError(
                f"--val-cases names {unknown[0]}, which is not in the data; its cases are {some}."
            ) from None
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


@dataclass(frozen=True)
class Validation:
    """Dice of one validation.

    Attributes:
        dice: by organ name: the mean over cases; None where no case has the organ.
        mean: over the organs that have a value.
    """

    dice: dict[str, float | None]
    mean: float


class Validator:
    """Segments held-out cases at the network's image size and pools each case's slices, as whole volumes are judged.

    An organ counts in the cases whose reference has it. This is cheap enough for every epoch; figures for a publication
    come from the evaluate command, on the volumes themselves.
    """

    def __init__(
        self, slices: SliceSet, device: torch.device, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._held = HeldSlices(slices, device)
        self._label_set: LabelSet = slices.label_set
        case_names = sorted(set(slices.cases))
        self._cases = torch.tensor([case_names.index(name) for name in slices.cases])
        self._case_count = len(case_names)
        mine = np.array_split(np.arange(len(self._held)), world_size)[rank]
        self._batches = [
            torch.from_numpy(b) for b in np.split(mine, range(batch_size, len(mine), batch_size)) if len(b)
        ]

    def measure(self, model: SAMed, autocast: Callable, on_batch: Callable[[int, int], None]) -> Validation:
        """Dice of `model`, over the slices of all ranks.

        Args:
            autocast: makes the context in which the network computes.
            on_batch: told how many of how many batches are done.
        """
        classes = self._label_set.num_classes
        counts = torch.zeros(self._case_count * classes * classes, dtype=torch.int64, device=self._held.device)
        model.eval()
        try:
            for done, indices in enumerate(self._batches, start=1):
                counts += self._confusion(model, indices, autocast, len(counts))
                on_batch(done, len(self._batches))
        finally:
            model.train()
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(counts)
        return _summary(counts.view(self._case_count, classes, classes).cpu().numpy(), self._label_set)

    @torch.no_grad()
    def _confusion(self, model: SAMed, indices: Tensor, autocast: Callable, length: int) -> Tensor:
        """Pixels by case, reference class and predicted class, flattened."""
        images, labels = self._held.take(indices)
        size = (model.config.image_size,) * 2
        if tuple(images.shape[-2:]) != size:
            images, labels = zoom_cubic(images, size), zoom_nearest(labels, size)
        with autocast():
            predicted = model(images[:, None]).masks.argmax(dim=1)
        cases = self._cases[indices].to(labels.device)[:, None, None]
        classes = self._label_set.num_classes
        return torch.bincount(((cases * classes + labels) * classes + predicted).flatten(), minlength=length)


def _summary(confusion: np.ndarray, label_set: LabelSet) -> Validation:
    """From counts [cases, reference class, predicted class]."""
    overlap = np.diagonal(confusion, axis1=1, axis2=2)
    reference, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    dice: dict[str, float | None] = {}
    for label in label_set:
        has = reference[:, label.value] > 0
        sizes = reference[has, label.value] + predicted[has, label.value]
        dice[label.name] = float((2.0 * overlap[has, label.value] / sizes).mean()) if has.any() else None
    values = [value for value in dice.values() if value is not None]
    return Validation(dice, float(np.mean(values)) if values else 0.0)
