"""Batches of slices: the whole set stays in memory, and a batch is gathered, augmented and zoomed on the device."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from SAMedLib.data.augment import Augmentation, to_network_size
from SAMedLib.data.slices import SliceSet
from SAMedLib.errors import SAMedError
from SAMedLib.model.networks import NetworkConfig

_ORDER, _AUGMENTATION = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class Part:
    """What one rank computes at once.

    Attributes:
        images: [b, 1, S, S].
        labels: [b, L, L], at the size at which the loss compares.
        share: of the step's slices, how many are in this part, counting all ranks.
    """

    images: Tensor
    labels: Tensor
    share: float


class HeldSlices:
    """Slices in the device's memory if they take no more than a quarter of what is free, else in pinned memory."""

    def __init__(self, slices: SliceSet, device: torch.device) -> None:
        self.device = device
        images, labels = torch.from_numpy(slices.images), torch.from_numpy(slices.labels)
        if device.type == "cuda" and 4 * images.nbytes > torch.cuda.mem_get_info(device)[0]:
            self.images, self.labels = images.pin_memory(), labels.pin_memory()
        else:
            self.images, self.labels = images.to(device), labels.to(device)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Slices [b,S,S] and labels [b,S,S] at these places, on the device."""
        there = indices.to(self.images.device)
        images, labels = self.images[there], self.labels[there]
        return images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class Batches:
    """The training batches of every step, as a function of the seed and the step alone.

    The order of an epoch and the augmentation of a step are drawn for the global batch, the same on every rank; each
    rank takes its contiguous part. So the number of ranks does not change what is trained on, and a resume needs to
    know nothing but the step. As published, the last, smaller batch of an epoch is used, except where it has fewer
    slices than there are ranks.
    """

    def __init__(
        self,
        slices: SliceSet,
        config: NetworkConfig,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        label_size: int | None = None,
    ) -> None:
        self._held = HeldSlices(slices, device)
        self._config, self._label_size = config, label_size
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._seed = seed
        self._rank, self._world_size = rank, world_size
        full, rest = divmod(len(self._held), batch_size)
        self.steps_per_epoch = full + (rest >= world_size)
        if batch_size < world_size or self.steps_per_epoch == 0:
            raise SAMedError(
                f"{world_size} processes cannot share batches of {batch_size} from {len(self._held)} slices; "
                f"use fewer processes or a larger --batch-size."
            )
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def parts(self, step: int, count: int) -> list[Part]:
        """This rank's share of a step's batch, in `count` parts or as many as there are slices for."""
        indices = torch.from_numpy(self._indices(step))
        generator = torch.Generator().manual_seed(_derived_seed(self._seed, _AUGMENTATION, step))
        drawn = self._augmentation.draw(len(indices), generator)
        bounds = _bounds(len(indices), self._world_size)
        count = min(count, len(indices) // self._world_size)
        of_ranks = [[lo + cut for cut in _bounds(hi - lo, count)] for lo, hi in itertools.pairwise(bounds)]
        parts = []
        for part in range(count):
            lo, hi = of_ranks[self._rank][part : part + 2]
            images, labels = self._augmentation.apply(*self._held.take(indices[lo:hi]), drawn[lo:hi])
            size = sum(cuts[part + 1] - cuts[part] for cuts in of_ranks)
            resized = to_network_size(images, labels, self._config, self._label_size)
            parts.append(Part(*resized, share=size / len(indices)))
        return parts

    def _indices(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = np.random.default_rng([self._seed, _ORDER, epoch])
            self._epoch, self._order = epoch, generator.permutation(len(self._held))
        return self._order[place * self._batch_size : (place + 1) * self._batch_size]


def _bounds(total: int, parts: int) -> list[int]:
    """Where to cut `total` things into contiguous parts whose sizes differ by one at most: parts + 1 numbers."""
    return [total * part // parts for part in range(parts + 1)]


def _derived_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
