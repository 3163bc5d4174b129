"""How well a result fits a reference segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.grids import grid_differences
from SAMedLib.imaging.volume import Volume, read_labels
from SAMedLib.web.page_words import in_page_words
from SAMedLib.web.scan import check_upload

if TYPE_CHECKING:
    from SAMedLib.evaluation import OrganScore
    from SAMedLib.web.exports import Result


def read_reference(path: Path, scan: Volume) -> np.ndarray:
    """A label map on the scan's grid; for any thread.

    Raises:
        SAMedError: if it is none, or lies on another grid.
    """
    if path.is_dir():
        raise SAMedError("Several files were sent; choose the one file with the reference labels.")
    try:
        check_upload(path)
        reference = read_labels(path)
    except SAMedError as error:
        raise SAMedError(in_page_words(str(error), path)) from error
    differences = grid_differences(reference.geometry, scan.geometry)
    if differences:
        raise SAMedError(
            f"{path.name} lies on another grid than {scan.name} ({'; '.join(differences)}); "
            "choose the reference that belongs to this scan."
        )
    return reference.array


def compare(result: Result, reference: np.ndarray) -> dict[str, OrganScore]:
    """DSC and HD95 in mm of every organ, by name; for any thread.

    Raises:
        SAMedError: if the reference holds values that are no organs of the model.
    """
    from SAMedLib.evaluation import evaluate_case

    known = {0, *(label.value for label in result.label_set)}
    unknown = sorted(set(np.unique(reference).tolist()) - known)
    if unknown:
        names = ", ".join(f"{label.value} {label.name}" for label in result.label_set)
        raise SAMedError(f"The reference holds the value {unknown[0]}, which is no organ of the model ({names}).")
    spacing = result.volume.geometry.spacing[::-1]
    scores = evaluate_case(result.labels, reference, result.label_set, spacing=spacing, protocol="mm")
    return {score.organ: score for score in scores}
