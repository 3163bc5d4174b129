"""The slice of a case to look at: the one where its worst organ differs most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SAMedLib.evaluation.protocols import OrganScore
from SAMedLib.imaging.orientation import reorient, source_axes


@dataclass(frozen=True)
class Case:
    """One case ready to be scored.

    Attributes:
        name: what cases are matched by.
        prediction, reference: uint8 [Z, Y, X] on one grid, values of the label set that is evaluated.
        spacing: mm along z, y, x, None if the data do not tell.
        direction: 9 numbers, row-major, LPS, None if the data do not tell.
        image: float [Z, Y, X] in [0, 1] on the same grid, None without one.
        treatments: how the labels of either side were mapped, for the report.
    """

    name: str
    prediction: np.ndarray
    reference: np.ndarray
    spacing: tuple[float, float, float] | None = None
    direction: tuple[float, ...] | None = None
    image: np.ndarray | None = None
    treatments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """An axial slice as a radiologist sees it: anterior up, the patient's right on the left (if the axes are known).

    Attributes:
        prediction, reference: uint8 [rows, columns].
        image: uint8 grey values, None without an image.
        aspect: height of a pixel over its width.
        organ: label value of the organ that it shows, the case's worst.
        slice_index: counted from the feet, from 0.
    """

    prediction: np.ndarray
    reference: np.ndarray
    image: np.ndarray | None
    aspect: float
    organ: int
    slice_index: int


def picture_of(case: Case, scores: Sequence[OrganScore], at: Picture | None = None) -> Picture | None:
    """The slice with most wrong voxels of the organ with the lowest Dice; None if there is no organ at all.

    Args:
        at: the same organ and slice as in this picture instead, to set runs side by side.
    """
    prediction, reference = _upright(case, case.prediction), _upright(case, case.reference)
    if at is not None and at.slice_index < len(prediction):
        organ, index = at.organ, at.slice_index
    else:
        there = [(score.dsc or 0.0, value) for value, score in enumerate(scores, 1) if score.presence == "found"]
        there += [(0.0, value) for value, score in enumerate(scores, 1) if score.presence in ("missed", "spurious")]
        if not there:
            return None
        organ = min(there)[1]
        predicted, referenced = prediction == organ, reference == organ
        wrong = np.count_nonzero(predicted ^ referenced, axis=(1, 2))
        # without a single wrong voxel, show where the organ is largest
        index = int(np.argmax(wrong if wrong.any() else np.count_nonzero(referenced, axis=(1, 2))))
    grey = None
    if case.image is not None:
        grey = np.round(np.clip(_upright(case, case.image)[index], 0, 1) * 255).astype(np.uint8)
    spacing = _upright_spacing(case)
    return Picture(np.array(prediction[index]), np.array(reference[index]), grey, spacing[1] / spacing[2], organ, index)


def _upright(case: Case, array: np.ndarray) -> np.ndarray:
    """A view with slices from the feet up, rows from anterior to posterior, columns from the patient's right."""
    return array if case.direction is None else reorient(array, case.direction, "LPS")


def _upright_spacing(case: Case) -> tuple[float, ...]:
    if case.spacing is None:
        return (1.0, 1.0, 1.0)
    if case.direction is None:
        return case.spacing
    axes = [axis for axis, _ in source_axes(case.direction, "LPS")]
    return tuple(case.spacing[2 - axis] for axis in reversed(axes))
