"""Is this a CT in Hounsfield units? What surely is not is refused; what only looks odd gets a note."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.orientation import determinant

AIR = -1024
# a label map has few whole, non-negative values; a CT has noise
_MOST_LABELS = 64
# mm between voxels, and how many there are: of nothing that was ever in a CT scanner, nor in a micro-CT
_SPACINGS = (1e-3, 1e3)
_MOST_VOXELS = 2**37


def check_grid(image: sitk.Image | sitk.ImageFileReader, source: Path) -> None:
    """Refuse voxels that lie nowhere: no extent, no direction, or sizes that only a damaged header has.

    Args:
        image: an image, or a reader that has read a file's header.

    Raises:
        SAMedError: saying what is wrong with the grid.
    """
    size, spacing = image.GetSize()[:3], image.GetSpacing()[:3]
    described = " x ".join(map(str, size))
    if 0 in size:
        raise SAMedError(f"{source} is empty: it holds {described} voxels; export it again.")
    if np.prod(np.array(size, dtype=float)) > _MOST_VOXELS:
        raise SAMedError(f"{source} is damaged: it claims to hold {described} voxels; get a fresh copy.")
    if not all(_SPACINGS[0] <= step <= _SPACINGS[1] for step in spacing):
        steps = " x ".join(f"{step:.3g}" for step in spacing)
        raise SAMedError(f"{source} has voxels of {steps} mm, which no CT has; export it again, in millimetres.")
    numbers = (*image.GetOrigin(), *image.GetDirection())
    if not np.isfinite(numbers).all():
        raise SAMedError(f"{source} does not say where its voxels lie (its geometry is no number); export it again.")
    axes = round(len(image.GetDirection()) ** 0.5)
    if abs(determinant(np.reshape(image.GetDirection(), (axes, axes)).tolist())) < 1e-3:
        raise SAMedError(f"{source} has axes that lie in one plane, so its voxels have no place; export it again.")


def as_hounsfield(values: np.ndarray, source: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """A copy of the voxels as int16 where they fit, float32 otherwise; what is not finite becomes air.

    Args:
        values: [Z, Y, X], any real dtype.
        source: the file's name, for messages.

    Returns:
        The array, and notes on what was replaced.

    Raises:
        SAMedError: if there is no voxel, or none that is finite.
    """
    if values.size == 0:
        raise SAMedError(f"{source} is empty: it holds no voxels; export it again.")
    if np.issubdtype(values.dtype, np.integer):
        fits = values.min() >= np.iinfo(np.int16).min and values.max() <= np.iinfo(np.int16).max
        return values.astype(np.int16 if fits else np.float32), ()
    array = values.astype(np.float32)
    finite = np.isfinite(array)
    missing = array.size - int(np.count_nonzero(finite))
    if missing == array.size:
        raise SAMedError(f"{source} holds no finite value (all NaN); export the CT again.")
    if missing:
        array[~finite] = AIR
        return array, (f"{source} has {missing} voxels without a finite value; they count as air.",)
    return array, ()


def intensity_notes(array: np.ndarray, source: str) -> tuple[str, ...]:
    """What the intensities give away.

    Raises:
        SAMedError: if the image is constant, or is a label map.
    """
    low, high = float(array.min()), float(array.max())
    if low == high:
        raise SAMedError(f"{source} is constant (every voxel is {low:g}); there is nothing to segment.")
    if low >= 0 and high <= 255 and _is_label_map(array):
        raise SAMedError(f"{source} looks like a label map (a few whole values, {low:g} to {high:g}), not like a CT.")
    if low >= 0:
        return (
            f"{source} has no negative value, so it is not in Hounsfield units: an MR image, or a CT without its "
            "rescale offset; do not trust the result.",
        )
    if high <= 2 and low >= -2:
        return (
            f"{source} has values from {low:g} to {high:g} only: normalised, not Hounsfield units; see to that first.",
        )
    return ()


def _is_label_map(array: np.ndarray) -> bool:
    if array.dtype == np.float32 and not np.array_equal(array, np.round(array)):
        return False
    return np.unique(array.astype(np.uint8)).size <= _MOST_LABELS
