"""The slice of a case to look at: the one where its worst organ differs most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SAMedLib.evaluation.cases import Case
from SAMedLib.evaluation.places import Place
from SAMedLib.evaluation.protocols import OrganScore


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


def picture_of(
    case: Case, scores: Sequence[OrganScore], places: Sequence[Place | None], at: Picture | None = None
) -> Picture | None:
    """The worst slice of the organ with the lowest Dice; None if there is no organ at all.

    Args:
        places: of the organs, see `worst_places`.
        at: the same organ and slice as in this picture instead, to set runs side by side.
    """
    prediction, reference = case.upright(case.prediction), case.upright(case.reference)
    if at is not None and at.slice_index < len(prediction):
        organ, index = at.organ, at.slice_index
    else:
        there = [
            ((score.dsc or 0.0) if score.presence == "found" else 0.0, value)
            for value, score in enumerate(scores, 1)
            if score.presence != "absent"
        ]
        if not there:
            return None
        organ = min(there)[1]
        place = places[organ - 1]
        assert place is not None
        index = place.slice
    grey = None
    if case.image is not None:
        grey = np.round(np.clip(case.upright(case.image)[index], 0, 1) * 255).astype(np.uint8)
    spacing = case.upright_spacing()
    return Picture(np.array(prediction[index]), np.array(reference[index]), grey, spacing[1] / spacing[2], organ, index)
