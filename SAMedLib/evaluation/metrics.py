"""Measures of agreement between two binary objects, each an array of any dimension, non-zero inside.

`dice` and `hd95` equal medpy's `dc` and `hd95`, `hd` and `assd` its functions of those names. The paper's HD is the
95th percentile of both directed distance lists put together (Section 4.1 and its test script), not the larger of two
percentiles that other packages report.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from SAMedLib.evaluation.surface import check_shapes, surface_distances

Spacing = Sequence[float] | float | None


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|), from 0 to 1; 1 if both are empty, as the source of medpy's `dc` says.

    Raises:
        SAMedError: if the shapes differ.
    """
    return dice_of_counts(*_counts(prediction, reference))


def dice_of_counts(predicted: int, referenced: int, both: int) -> float:
    """Dice from voxel counts of the prediction, the reference and their intersection."""
    return 2.0 * both / float(predicted + referenced) if predicted + referenced else 1.0


def sensitivity(prediction: np.ndarray, reference: np.ndarray) -> float | None:
    """The share of the reference that the prediction finds, 0 to 1; None if the reference is empty."""
    _, referenced, both = _counts(prediction, reference)
    return both / referenced if referenced else None


def precision(prediction: np.ndarray, reference: np.ndarray) -> float | None:
    """The share of the prediction that is right, 0 to 1; None if the prediction is empty."""
    predicted, _, both = _counts(prediction, reference)
    return both / predicted if predicted else None


def volume_difference(prediction: np.ndarray, reference: np.ndarray) -> float | None:
    """(|A| - |B|) / |B|: 0.1 is a prediction ten per cent too large; None if the reference is empty."""
    predicted, referenced, _ = _counts(prediction, reference)
    return (predicted - referenced) / referenced if referenced else None


def hd95(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing = None) -> float:
    """95th percentile of the Hausdorff distance: of the distances from each surface to the other, put together.

    Args:
        prediction, reference: boolean arrays of one shape, any dimension.
        spacing: voxel size along each array axis (z, y, x for volumes); None measures in voxels.

    Returns:
        The distance in the unit of `spacing`, equal to `medpy.metric.binary.hd95`.

    Raises:
        EmptyMaskError: if one of them is empty: no distance exists (a RuntimeError, as in medpy).
        SAMedError: if the shapes differ or the spacing does not fit.
    """
    return hd95_of(*_distances(prediction, reference, spacing))


def hd(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing = None) -> float:
    """Hausdorff distance: the largest distance from either surface to the other; arguments and errors as `hd95`."""
    return hd_of(*_distances(prediction, reference, spacing))


def assd(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing = None) -> float:
    """Average symmetric surface distance: the mean over both surfaces' voxels; arguments and errors as `hd95`."""
    return assd_of(*_distances(prediction, reference, spacing))


def nsd(prediction: np.ndarray, reference: np.ndarray, tolerance: float, spacing: Spacing = None) -> float:
    """Normalised surface Dice: the share of both surfaces' voxels within `tolerance` of the other surface.

    Nikolov et al., arXiv 1809.04430, with surface voxels counted once each rather than weighted by their area.
    `tolerance` is in the unit of `spacing`; other arguments and errors as `hd95`.
    """
    return nsd_of(*_distances(prediction, reference, spacing), tolerance)


def hd95_of(to_reference: np.ndarray, to_prediction: np.ndarray) -> float:
    """HD95 from both directed lists of distances."""
    return float(np.percentile(np.concatenate((to_reference, to_prediction)), 95))


def hd_of(to_reference: np.ndarray, to_prediction: np.ndarray) -> float:
    """Hausdorff distance from both directed lists of distances."""
    return float(max(to_reference.max(), to_prediction.max()))


def assd_of(to_reference: np.ndarray, to_prediction: np.ndarray) -> float:
    """Average symmetric surface distance from both directed lists of distances."""
    return float((to_reference.sum() + to_prediction.sum()) / (to_reference.size + to_prediction.size))


def nsd_of(to_reference: np.ndarray, to_prediction: np.ndarray, tolerance: float) -> float:
    """Normalised surface Dice from both directed lists of distances."""
    near = np.count_nonzero(to_reference <= tolerance) + np.count_nonzero(to_prediction <= tolerance)
    return float(near / (to_reference.size + to_prediction.size))


def _mask(array: np.ndarray) -> np.ndarray:
    return np.atleast_1d(np.asarray(array).astype(bool, copy=False))


def _counts(prediction: np.ndarray, reference: np.ndarray) -> tuple[int, int, int]:
    prediction, reference = _mask(prediction), _mask(reference)
    check_shapes(prediction, reference)
    both = np.count_nonzero(prediction & reference)
    return int(np.count_nonzero(prediction)), int(np.count_nonzero(reference)), int(both)


def _distances(prediction: np.ndarray, reference: np.ndarray, spacing: Spacing) -> tuple[np.ndarray, np.ndarray]:
    return surface_distances(_mask(prediction), _mask(reference), spacing)
