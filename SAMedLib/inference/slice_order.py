"""In which order slices are segmented, and which ones need not be."""

from __future__ import annotations

import numpy as np


class SliceOrder:
    """Every slice in order; with a stride, every so many first, and then outwards from those that hold an organ.

    With a stride, a slice is left out if it lies between two empty ones of the first pass and no organ reaches it slice
    by slice. So what is lost is what no slice of the first pass meets: pieces thinner than the stride, apart from
    everything else that was found.

    Args:
        count: slices.
        stride: at least 1, which leaves nothing out.
    """

    def __init__(self, count: int, stride: int = 1) -> None:
        self._done = np.zeros(count, dtype=bool)
        self._organ = np.zeros(count, dtype=bool)
        first = np.arange(0, count, stride)
        self._waiting = first if not count or first[-1] == count - 1 else np.append(first, count - 1)

    def following(self, most: int) -> np.ndarray:
        """Places of the next slices, rising, at most so many; none at the end."""
        return self._waiting[:most]

    def note(self, places: np.ndarray, holds_organ: np.ndarray) -> None:
        """These slices are done; whether each holds an organ."""
        self._done[places], self._organ[places] = True, holds_organ
        self._waiting = self._waiting[~self._done[self._waiting]]
        if not self._waiting.size:
            near = np.zeros_like(self._organ)
            near[1:] |= self._organ[:-1]
            near[:-1] |= self._organ[1:]
            self._waiting = np.flatnonzero(near & ~self._done)

    @property
    def done(self) -> int:
        return int(self._done.sum())
