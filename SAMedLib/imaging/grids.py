"""Whether two images lie on one grid, and how they differ in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from SAMedLib.imaging.orientation import orientation_code
from SAMedLib.imaging.volume import Geometry

# NIfTI keeps float32, and some writers round the header to a few decimals
_SPACING = 1e-3  # of the spacing
_DIRECTION = 1e-3
_ORIGIN = 0.02  # of the smallest spacing


def grid_differences(one: Geometry, other: Geometry) -> list[str]:
    """How two grids differ, each difference as "what ONE against OTHER"; empty if they are the same.

    The same means up to the rounding of file formats: spacing within 0.1 %, direction cosines within 0.001, origin
    within 2 % of a voxel. Where directions differ the origin says nothing and is left out.
    """
    found = []
    if one.size != other.size:
        found.append(f"size {_numbers(one.size)} against {_numbers(other.size)}")
    if not np.allclose(one.spacing, other.spacing, rtol=_SPACING, atol=0):
        found.append(f"spacing {_numbers(one.spacing)} against {_numbers(other.spacing)} mm")
    if not np.allclose(one.direction, other.direction, rtol=0, atol=_DIRECTION):
        codes = [orientation_code(geometry.direction) for geometry in (one, other)]
        found.append(
            f"orientation {codes[0]} against {codes[1]}"
            if codes[0] != codes[1]
            else f"direction {_numbers(one.direction, ' ')} against {_numbers(other.direction, ' ')}"
        )
    elif (offset := float(np.abs(np.subtract(one.origin, other.origin)).max())) > _ORIGIN * min(other.spacing):
        found.append(f"origin {_numbers(one.origin)} against {_numbers(other.origin)} mm, {offset:.3g} mm apart")
    return found


def _numbers(values: Sequence[float], between: str = " x ") -> str:
    return between.join(f"{value:.6g}" for value in values)
