"""Numbers measured at the steps of a training."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

STEP = "step"


class Curves:
    """Several curves over the same steps, which only grow.

    Args:
        names: keys of the values; what is not a number, or missing, is a gap.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._steps = array("q")  # a run has 100 000 steps; NumPy takes these as they are
        self._values = {name: array("d") for name in names}

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Values at a step; if this one or later ones are there, the training went back, and they are dropped."""
        if self._steps and step <= self._steps[-1]:
            self.forgetAfter(step - 1)
        self._steps.append(step)
        for name in self._names:
            value = values.get(name)
            self._values[name].append(float(value) if isinstance(value, (int, float)) else float("nan"))

    def forgetAfter(self, step: int) -> None:
        keep = bisect_left(self._steps, step + 1)
        del self._steps[keep:]
        for curve in self._values.values():
            del curve[keep:]

    def known(self) -> set[str]:
        """The names that have a number somewhere."""
        return {name for name, curve in self._values.items() if any(value == value for value in curve)}

    def thinned(self, points: int) -> dict[str, np.ndarray]:
        """Steps and values; if there are more than `points`, the means of as many equal parts, gaps left out."""
        import numpy as np

        curves = {STEP: np.array(self._steps, float)}
        curves.update({name: np.array(curve, float) for name, curve in self._values.items()})
        if len(self) <= points:
            return curves
        starts = np.linspace(0, len(self), points, endpoint=False).astype(int)
        return {name: _means(curve, starts) for name, curve in curves.items()}


def _means(curve: np.ndarray, starts: np.ndarray) -> np.ndarray:
    import numpy as np

    counted = np.isfinite(curve)
    sums = np.add.reduceat(np.where(counted, curve, 0.0), starts)
    counts = np.add.reduceat(counted.astype(int), starts)
    return np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
