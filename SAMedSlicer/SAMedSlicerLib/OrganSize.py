"""How much of each organ was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from SAMedLib.organs import Label


@dataclass(frozen=True)
class OrganSize:
    """One organ of one scan.

    Attributes:
        color: RGB, 0..255.
        cut: it reaches the edge of the scan, so there may be more of it outside.
    """

    name: str
    color: tuple[int, int, int]
    voxels: int
    ml: float
    cut: bool


def organSizes(labels: Any, voxelMl: float, organs: Sequence[Label]) -> list[OrganSize]:
    """Measure the organs in a label array [K, J, I] whose voxels have `voxelMl` millilitres."""
    import numpy as np

    # slice by slice: bincount works on a copy of eight times the size
    counts = sum(np.bincount(plane.ravel(), minlength=256) for plane in labels)
    edge: set[int] = set()
    for axis in range(3):
        for side in (0, -1):
            edge.update(np.unique(np.take(labels, side, axis=axis)).tolist())
    return [
        OrganSize(organ.name, organ.color, int(counts[organ.value]), counts[organ.value] * voxelMl, organ.value in edge)
        for organ in organs
    ]
