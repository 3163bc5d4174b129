"""Surfaces of binary objects and the distances between them.

A surface voxel is one with a face neighbour outside the object; voxels at the array's border count as surface. Objects
are cropped to their common bounding box, which changes nothing: everything outside the box is background already. Then
only surface voxels are looked up in a k-d tree of the other surface, and voxels on both surfaces not even that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from SAMedLib.errors import SAMedError


class EmptyMaskError(SAMedError, RuntimeError):
    """A distance was asked of an object without voxels (medpy raises RuntimeError there, so this is one too)."""


def border(mask: np.ndarray) -> np.ndarray:
    """The surface voxels of a boolean array of any dimension, as a boolean array of the same shape.

    Equal to `mask ^ scipy.ndimage.binary_erosion(mask)`, whose outside is background.
    """
    interior = mask.copy()
    for axis in range(mask.ndim):
        source, target = np.moveaxis(mask, axis, 0), np.moveaxis(interior, axis, 0)
        target[1:] &= source[:-1]
        target[:-1] &= source[1:]
        target[:1] = False
        target[-1:] = False
    return mask ^ interior


def bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box that holds all non-zero voxels; None if there are none."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        if not occupied.size:
            return None
        box.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    return tuple(box)


def union_box(one: tuple[slice, ...], other: tuple[slice, ...]) -> tuple[slice, ...]:
    """The smallest box that holds both."""
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))


def surface_distances(
    prediction: np.ndarray, reference: np.ndarray, spacing: Sequence[float] | float | None = None, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """For every surface voxel of each object the distance to the nearest surface voxel of the other.

    Args:
        prediction, reference: boolean arrays of one shape, any dimension.
        spacing: voxel size along each array axis; None gives distances in voxels.
        threads: used by the nearest-neighbour search.

    Returns:
        (prediction to reference, reference to prediction), float64, in no particular order.

    Raises:
        EmptyMaskError: if one of them has no voxels.
        SAMedError: if the shapes differ or the spacing does not fit them.
    """
    check_shapes(prediction, reference)
    scale = voxel_size(spacing, prediction.ndim)
    boxes = [bounding_box(mask) for mask in (prediction, reference)]
    for box, name in zip(boxes, ("prediction", "reference"), strict=True):
        if box is None:
            raise EmptyMaskError(f"The {name} has no voxels, so there is no distance to its surface.")
    box = union_box(boxes[0], boxes[1])
    return distances_in_box(prediction[box], reference[box], scale, threads)


def distances_in_box(
    prediction: np.ndarray, reference: np.ndarray, scale: np.ndarray, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """`surface_distances` of non-empty boolean arrays already cropped; `scale` is the voxel size per axis."""
    surfaces = border(prediction), border(reference)
    both = int(np.count_nonzero(surfaces[0] & surfaces[1]))
    found = []
    for here, there in (surfaces, surfaces[::-1]):
        distances = np.zeros(both)
        if (alone := _points(here & ~there)).size:
            others = _points(there)
            # Midpoint splits and large leaves, measured: on a surface's grid points many distances tie, and pruning
            # small nodes costs more than it saves (half the time of the defaults).
            tree = cKDTree(others * scale, leafsize=64, balanced_tree=False, compact_nodes=False)
            _, nearest = tree.query(alone * scale, workers=threads)
            distances = np.concatenate((distances, _lengths(others[nearest] - alone, scale)))
        found.append(distances)
    return found[0], found[1]


def _points(mask: np.ndarray) -> np.ndarray:
    """Integer [n, dimensions] indices of the true voxels."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)


def _lengths(offsets: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """float64 lengths of [n, dimensions] whole voxels, rounded as in a distance transform.

    The tree's own distances are differences of rounded positions: 0.1 * 5 - 0.1 * 2 is not 0.1 * 3, so whether a voxel
    lies within a tolerance of 0.3 would depend on where in the volume it is.
    """
    return np.sqrt(np.square(offsets * scale).sum(axis=1))


def check_shapes(prediction: np.ndarray, reference: np.ndarray) -> None:
    """Raises SAMedError if the two arrays do not have one shape."""
    if prediction.shape != reference.shape:
        raise SAMedError(
            f"The prediction is {_shape(prediction)} voxels and the reference {_shape(reference)}; "
            "measure them on the same grid."
        )


def voxel_size(spacing: Sequence[float] | float | None, dimensions: int) -> np.ndarray:
    """float64 [dimensions], ones for None; raises SAMedError for anything but positive lengths, one per axis."""
    if spacing is None:
        return np.ones(dimensions)
    scale = np.asarray(spacing, dtype=np.float64)
    if scale.ndim == 0:
        scale = np.full(dimensions, float(scale))
    if scale.shape != (dimensions,) or not np.all(np.isfinite(scale) & (scale > 0)):
        raise SAMedError(f"A voxel spacing of {spacing} does not fit {dimensions} axes; give one positive length each.")
    return scale


def _shape(array: np.ndarray) -> str:
    return " x ".join(str(n) for n in array.shape)
