"""How well one organ was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

MISSED, SPURIOUS, ABSENT = "missed", "spurious", "absent"


@dataclass(frozen=True)
class OrganScore:
    """One organ of one case, or its mean over the cases; None is missing.

    Attributes:
        presence: "found", "missed", "spurious" or "absent"; "" for a mean.
        position: where it is worst, LPS mm in the reference's own coordinates.
        slice: that slice, counted from the feet, from 1.
    """

    organ: str
    presence: str
    dsc: float | None
    hd95: float | None
    predictedMl: float | None
    referenceMl: float | None
    position: tuple[float, float, float] | None = None
    slice: int | None = None

    @property
    def differenceMl(self) -> float | None:
        if self.predictedMl is None or self.referenceMl is None:
            return None
        return self.predictedMl - self.referenceMl


def mean(values: Sequence[float | None]) -> float | None:
    """Of what is there; None if nothing is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
