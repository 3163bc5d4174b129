"""From measurements to scores: what counts as missing, which unit, and how cases are averaged.

`paper` is the published test script, slip by slip, so that a number can stand beside the paper's Table 1:
distances in voxels; Dice and HD95 of an organ are (1, 0) where only the prediction has it and (0, 0) where the
prediction lacks it, whether the reference has it or not; mean over cases for each organ, then over organs.
`mm` uses the scan's spacing and invents no score: an organ that the reference lacks is missing from every mean (what
was predicted there is counted as spurious); one that the prediction alone lacks has Dice and NSD 0, as their formulas
say, and no distance; means come with a bootstrap 95 % interval over cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from SAMedLib.errors import SAMedError
from SAMedLib.evaluation.measure import Measurement, measure_labels
from SAMedLib.organs import LabelSet

RESAMPLES, SEED = 2000, 1234


@dataclass(frozen=True)
class OrganScore:
    """One organ of one case; None is missing.

    Attributes:
        organ: its name in the label set.
        dsc: Dice similarity coefficient, 0 to 1.
        hd95, hd, assd: distances, in voxels (paper) or millimetres (mm).
        nsd: normalised surface Dice at the protocol's tolerance, 0 to 1.
        sensitivity, precision: of voxels, 0 to 1.
        predicted_voxels, reference_voxels: sizes on the grid.
        predicted_ml, reference_ml: volumes in millilitres, None without a spacing.
    """

    organ: str
    dsc: float | None
    hd95: float | None
    hd: float | None
    assd: float | None
    nsd: float | None
    sensitivity: float | None
    precision: float | None
    predicted_voxels: int
    reference_voxels: int
    predicted_ml: float | None
    reference_ml: float | None

    @property
    def presence(self) -> str:
        """ "found" in both, "missed" by the prediction, "spurious" in it, or "absent" from both."""
        if self.reference_voxels:
            return "found" if self.predicted_voxels else "missed"
        return "spurious" if self.predicted_voxels else "absent"

    @property
    def volume_difference(self) -> float | None:
        """(prediction - reference) / reference; None where the reference lacks the organ."""
        if not self.reference_voxels:
            return None
        return (self.predicted_voxels - self.reference_voxels) / self.reference_voxels

    @property
    def volume_difference_ml(self) -> float | None:
        """Prediction minus reference in millilitres; None without a spacing."""
        if self.predicted_ml is None or self.reference_ml is None:
            return None
        return self.predicted_ml - self.reference_ml


@dataclass(frozen=True)
class Protocol:
    """How cases are scored.

    Attributes:
        name: "paper" or "mm".
        unit: of distances and of the tolerance.
        statement: what it does, for whoever reads the numbers.
    """

    name: str
    unit: str
    statement: str


PAPER = Protocol(
    "paper",
    "voxels",
    "Protocol paper (the published test script): distances in voxels, spacing ignored. Dice and HD95 of an organ are "
    "1 and 0 where only the prediction has it, 0 and 0 where the prediction lacks it, even if the reference lacks it "
    "too. Mean over cases for each organ, then over organs. The measures that the paper does not have are missing "
    "where they are undefined.",
)
MM = Protocol(
    "mm",
    "mm",
    "Protocol mm: distances in millimetres. An organ that the reference lacks is missing, not scored; one that only "
    "the prediction lacks has Dice and NSD 0 and no distance. Mean over the cases that have a value for each organ, "
    f"then over organs, with a percentile bootstrap 95 % interval over cases ({RESAMPLES} resamples, seed {SEED}).",
)
PROTOCOLS = {protocol.name: protocol for protocol in (PAPER, MM)}


def get_protocol(name: str) -> Protocol:
    """The protocol called `name`; raises SAMedError that lists them."""
    if name not in PROTOCOLS:
        raise SAMedError(f"There is no protocol called {name!r}; choose from {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def evaluate_case(
    prediction: np.ndarray,
    reference: np.ndarray,
    label_set: LabelSet,
    spacing: Sequence[float] | None = None,
    protocol: str = "paper",
    tolerance: float = 2.0,
    engine: str = "fast",
    threads: int | None = None,
) -> list[OrganScore]:
    """Score every organ of one case.

    Args:
        prediction, reference: labels of one shape, any dimension, values as in `label_set`; uint8 is fastest.
        label_set: the organs, in the order of the rows returned.
        spacing: mm per axis of the arrays (z, y, x). Needed by `mm`; `paper` uses it for volumes only.
        protocol: "paper" or "mm".
        tolerance: for the normalised surface Dice, in the protocol's unit.
        engine: "fast", or "medpy" to have Dice and HD95 from medpy (the same numbers, slowly).
        threads: None for all processors.

    Raises:
        SAMedError: unknown protocol or engine, shapes that differ, labels outside the label set, no spacing for `mm`.
    """
    rules = get_protocol(protocol)
    if rules is MM and spacing is None:
        raise SAMedError(
            "Protocol mm needs the voxel spacing; give it, or use protocol paper, which measures in voxels."
        )
    scale = spacing if rules is MM else None
    measured = measure_labels(prediction, reference, len(label_set.labels), scale, tolerance, engine, threads)
    voxel_ml = None if spacing is None else float(np.prod(np.asarray(spacing, dtype=np.float64))) / 1000.0
    return [_score(label.name, one, rules, voxel_ml) for label, one in zip(label_set, measured, strict=True)]


def _score(organ: str, one: Measurement, rules: Protocol, voxel_ml: float | None) -> OrganScore:
    dsc, hd95 = _published_scores(one) if rules is PAPER else _honest_scores(one)
    return OrganScore(
        organ,
        dsc,
        hd95,
        one.hd,
        one.assd,
        one.nsd if one.predicted or not one.referenced else 0.0,
        one.both / one.referenced if one.referenced else None,
        one.both / one.predicted if one.predicted and one.referenced else None,
        one.predicted,
        one.referenced,
        None if voxel_ml is None else one.predicted * voxel_ml,
        None if voxel_ml is None else one.referenced * voxel_ml,
    )


def _published_scores(one: Measurement) -> tuple[float, float]:
    if one.predicted and one.referenced:
        assert one.hd95 is not None
        return one.dice, one.hd95
    return (1.0, 0.0) if one.predicted else (0.0, 0.0)


def _honest_scores(one: Measurement) -> tuple[float | None, float | None]:
    return (one.dice if one.referenced else None), one.hd95
