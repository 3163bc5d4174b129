"""One case ready to be scored, and how to look at it the way up that a radiologist does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from SAMedLib.imaging.orientation import reorient, source_axes

# columns run to the patient's left, rows to the back, slices to the head: radiological convention
_UPRIGHT = "LPS"


@dataclass(frozen=True)
class Case:
    """Prediction and reference of one case.

    Attributes:
        name: what cases are matched by.
        prediction, reference: uint8 [Z, Y, X] on one grid, values of the label set that is evaluated.
        spacing: mm along z, y, x, None if the data do not tell.
        direction: 9 numbers, row-major, LPS, None if the data do not tell.
        image: float [Z, Y, X] in [0, 1] on the same grid, None without one.
        treatments: how the labels of either side were mapped, for the report.
        origin: LPS position in mm of the centre of voxel (0, 0, 0), None if the data do not tell.
        files: what "prediction", "reference" and "image" were read from, as far as they are files.
    """

    name: str
    prediction: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, float, float] | None = None
    direction: tuple[float, ...] | None = None
    image: np.ndarray | None = None
    treatments: tuple[str, ...] = ()
    origin: tuple[float, float, float] | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    def upright(self, array: np.ndarray) -> np.ndarray:
        """A view with slices from the feet up, rows from anterior to posterior, columns from the patient's right."""
        return array if self.direction is None else reorient(array, self.direction, _UPRIGHT)

    def upright_spacing(self) -> tuple[float, ...]:
        """mm per slice, row and column of an upright array, 1 where the data do not tell."""
        if self.spacing is None:
            return (1.0, 1.0, 1.0)
        if self.direction is None:
            return self.spacing
        axes = [axis for axis, _ in source_axes(self.direction, _UPRIGHT)]
        return tuple(self.spacing[2 - axis] for axis in reversed(axes))

    def voxel_of(self, upright_index: tuple[int, int, int]) -> tuple[int, int, int]:
        """The index along the grid's own x, y, z of a slice, row and column of an upright array."""
        if self.direction is None:
            x, y, z = reversed(upright_index)
            return x, y, z
        size = self.prediction.shape[::-1]
        voxel = [0, 0, 0]
        sources = source_axes(self.direction, _UPRIGHT)
        for index, (axis, backwards) in zip(reversed(upright_index), sources, strict=True):
            voxel[axis] = size[axis] - 1 - index if backwards else index
        return voxel[0], voxel[1], voxel[2]

    def position_of(self, voxel: tuple[int, int, int]) -> tuple[float, float, float] | None:
        """Where the centre of a voxel (x, y, z) lies, LPS mm; None if the data do not tell."""
        if self.spacing is None or self.direction is None or self.origin is None:
            return None
        steps = np.asarray(voxel) * self.spacing[::-1]
        x, y, z = np.asarray(self.origin) + np.reshape(self.direction, (3, 3)) @ steps
        return float(x), float(y), float(z)
