"""Where to look: for each organ, the axial slice in which prediction and reference differ most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SAMedLib.evaluation.cases import Case


@dataclass(frozen=True)
class Place:
    """The worst slice of one organ, and a point in it.

    Attributes:
        slice: counted from the feet, from 0, along the grid axis that is closest to the body's.
        voxel: indices along the grid's x, y, z of a wrong voxel amid the others; of the organ if none is wrong.
        position: of that voxel's centre, LPS mm; None if the data do not tell.
        wrong_voxels: of the organ in this slice, missed and made up.
    """

    slice: int
    voxel: tuple[int, int, int]
    position: tuple[float, float, float] | None
    wrong_voxels: int


def worst_places(case: Case, num_labels: int) -> tuple[Place | None, ...]:
    """One place for each of the labels 1..num_labels, None for an organ that neither side has.

    Where an organ has not a single wrong voxel, it is the slice in which it is largest.
    """
    prediction, reference = case.upright(case.prediction), case.upright(case.reference)
    wrong = np.zeros((len(reference), num_labels + 1), dtype=np.int64)
    present = np.zeros_like(wrong)
    for index, (predicted, referenced) in enumerate(zip(prediction, reference, strict=True)):
        differs = predicted != referenced
        for labels in (predicted[differs], referenced[differs]):
            wrong[index] += np.bincount(labels, minlength=num_labels + 1)
        present[index] = np.bincount(referenced.reshape(-1), minlength=num_labels + 1)
    return tuple(
        _place(case, prediction, reference, value, wrong[:, value], present[:, value])
        for value in range(1, num_labels + 1)
    )


def _place(
    case: Case, prediction: np.ndarray, reference: np.ndarray, value: int, wrong: np.ndarray, present: np.ndarray
) -> Place | None:
    decisive = wrong if wrong.any() else present
    if not decisive.any():
        return None
    index = int(np.argmax(decisive))
    mask = reference[index] == value
    if wrong.any():
        mask = mask ^ (prediction[index] == value)
    row, column = _amid(mask)
    voxel = case.voxel_of((index, row, column))
    return Place(index, voxel, case.position_of(voxel), int(wrong[index]))


def _amid(mask: np.ndarray) -> tuple[int, int]:
    """The voxel of the mask that is closest to its centre, which may itself lie outside."""
    points = np.argwhere(mask)
    row, column = points[np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))]
    return int(row), int(column)
