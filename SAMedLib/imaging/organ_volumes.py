"""How much of each organ was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from SAMedLib.imaging.volume import label_counts
from SAMedLib.organs import Label


@dataclass(frozen=True)
class OrganVolume:
    """How much of an organ was found.

    Attributes:
        cut: it reaches the edge of the scan, so there may be more of it outside.
    """

    name: str
    value: int
    voxels: int
    ml: float
    cut: bool


def organ_volumes(labels: np.ndarray, voxel_ml: float, organs: Iterable[Label]) -> list[OrganVolume]:
    """The volume of every organ, in their order; 0 for one that was not found.

    Args:
        labels: uint8 [Z, Y, X].
        voxel_ml: volume of one voxel in mL.
    """
    counts = label_counts(labels)
    at_edge: set[int] = set()
    for axis in range(labels.ndim):
        planes = np.moveaxis(labels, axis, 0)
        at_edge.update(np.unique(planes[[0, -1]]).tolist())
    return [
        OrganVolume(
            label.name, label.value, int(counts[label.value]), counts[label.value] * voxel_ml, label.value in at_edge
        )
        for label in organs
    ]
