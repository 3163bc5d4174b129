"""Turning a volume so that its axes run in the directions that a model was trained on, and back.

Directions are 3 x 3 matrices in LPS physical space, row-major, as SimpleITK gives them: column j is where index axis j
(x, y, z in turn) points. Arrays are indexed [Z, Y, X], so array axis 2 - j is index axis j.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from SAMedLib.errors import SAMedError

# the letter of an index axis that increases along the negative or the positive LPS axis
_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


def orientation_code(direction: Sequence[float]) -> str:
    """The anatomical directions in which the indices x, y, z increase, e.g. "LPS" for the identity.

    An oblique direction gets the closest axes; each of the three anatomical axes is used exactly once.

    Args:
        direction: 9 numbers, row-major, LPS.
    """
    matrix = np.asarray(direction, dtype=float).reshape(3, 3)
    # the assignment of index axes to anatomical axes whose cosines add up highest
    axes = max(permutations(range(3)), key=lambda axes: sum(abs(matrix[axis, j]) for j, axis in enumerate(axes)))
    return "".join(_LETTERS[axis][int(matrix[axis, j] > 0)] for j, axis in enumerate(axes))


def source_axes(direction: Sequence[float], code: str) -> list[tuple[int, bool]]:
    """For each of the target's index axes x, y, z: the source's index axis (0 is x), and whether it runs backwards.

    Raises:
        SAMedError: if `code` does not name each anatomical axis once.
    """
    have = [_parse(letter) for letter in orientation_code(direction)]
    want = [_parse(letter) for letter in code.upper()]
    if sorted(axis for axis, _ in want) != [0, 1, 2]:
        raise SAMedError(f"Orientation {code!r} is not one; it takes one letter each of L/R, A/P and S/I, such as LPS.")
    axes = [axis for axis, _ in have]
    return [(axes.index(axis), have[axes.index(axis)][1] != positive) for axis, positive in want]


def reorient(array: np.ndarray, direction: Sequence[float], code: str) -> np.ndarray:
    """Permute and flip axes so that the indices x, y, z increase along code[0], code[1], code[2].

    Args:
        array: [Z, Y, X], any dtype.
        direction: 9 numbers, row-major, LPS; where the array's axes point now.
        code: the wanted orientation, e.g. "LAS" (row 0 posterior, column 0 patient right, slice 0 inferior).

    Returns:
        A view of `array`.

    Raises:
        SAMedError: if `code` is not an orientation.
    """
    sources = source_axes(direction, code)
    turned = array.transpose(2, 1, 0).transpose([axis for axis, _ in sources])
    turned = turned[tuple(slice(None, None, -1) if backwards else slice(None) for _, backwards in sources)]
    return turned.transpose(2, 1, 0)


def restore(array: np.ndarray, direction: Sequence[float], code: str) -> np.ndarray:
    """The exact inverse of `reorient`: bring an array in the orientation `code` back to the axes of `direction`.

    Returns:
        A view of `array`, [Z, Y, X] on the original grid.
    """
    sources = source_axes(direction, code)
    turned = array.transpose(2, 1, 0)
    turned = turned[tuple(slice(None, None, -1) if backwards else slice(None) for _, backwards in sources)]
    back = np.argsort([axis for axis, _ in sources])
    return turned.transpose(*back).transpose(2, 1, 0)


def _parse(letter: str) -> tuple[int, bool]:
    for axis, (negative, positive) in enumerate(_LETTERS):
        if letter in (negative, positive):
            return axis, letter == positive
    return -1, False


def determinant(matrix: Sequence[Sequence[float]]) -> float:
    """Of a small square matrix, without LAPACK: NumPy's 1.26 waits for ever where memory for that cannot be had."""
    first, *others = matrix
    if not others:
        return float(first[0])
    minors = ([[*row[:column], *row[column + 1 :]] for row in others] for column in range(len(first)))
    return sum((-1) ** column * first[column] * determinant(minor) for column, minor in enumerate(minors))
