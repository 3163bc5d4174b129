"""From the scores of cases to the numbers of a table: means, intervals, and how two runs differ."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import stats

from SAMedLib.evaluation.pictures import Picture
from SAMedLib.evaluation.places import Place
from SAMedLib.evaluation.protocols import RESAMPLES, SEED, OrganScore


@dataclass(frozen=True)
class Measure:
    """A column of the tables.

    Attributes:
        key: the attribute of OrganScore.
        title: its heading.
        factor: what the number is multiplied by to be shown (100 for per cent).
        unit: shown beside the title; "" means the protocol's unit of length.
        better: 1 if higher is better, -1 if lower, 0 if closer to zero.
    """

    key: str
    title: str
    factor: float
    unit: str
    better: int


MEASURES = (
    Measure("dsc", "DSC", 100, "%", 1),
    Measure("hd95", "HD95", 1, "", -1),
    Measure("hd", "HD100", 1, "", -1),
    Measure("assd", "ASSD", 1, "", -1),
    Measure("nsd", "NSD", 100, "%", 1),
    Measure("volume_difference", "volume difference", 100, "%", 0),
    Measure("sensitivity", "sensitivity", 100, "%", 1),
    Measure("precision", "precision", 100, "%", 1),
)
DSC, HD95 = MEASURES[:2]


@dataclass(frozen=True)
class CaseResult:
    """The scores of one case.

    Attributes:
        scores: in label order.
        picture: of where the case is worst.
        places: where each organ is worst, in label order.
        files: see `Case.files`.
    """

    case: str
    scores: tuple[OrganScore, ...]
    picture: Picture | None = None
    places: tuple[Place | None, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One model or one folder of predictions, scored on its cases."""

    name: str
    results: tuple[CaseResult, ...]

    @property
    def organs(self) -> tuple[str, ...]:
        return tuple(score.organ for score in self.results[0].scores)

    def values(self, measure: Measure) -> np.ndarray:
        """float64 [cases, organs], not-a-number where missing."""
        rows = [[getattr(score, measure.key) for score in result.scores] for result in self.results]
        return np.array(rows, dtype=np.float64).reshape(len(rows), -1)

    def count(self, presence: str) -> int:
        """How many organs of how many cases were "missed", "spurious", "found" or "absent"."""
        return sum(score.presence == presence for result in self.results for score in result.scores)


@dataclass(frozen=True)
class Estimate:
    """A mean over `cases` cases and its 95 % interval; None where nothing was there to average."""

    mean: float | None
    low: float | None = None
    high: float | None = None
    cases: int = 0


@dataclass(frozen=True)
class Difference:
    """A run minus the baseline on the cases that both have.

    Attributes:
        mean: mean paired difference, with its bootstrap interval.
        p: of the two-sided Wilcoxon signed-rank test; None for fewer than two pairs.
    """

    mean: Estimate
    p: float | None


def mean_over(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is there; not-a-number where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is what we ask for
        return np.nanmean(values, axis=axis)


def overall(values: np.ndarray, interval: bool) -> Estimate:
    """Mean over cases for each organ, then over organs, of [cases, organs]."""
    return _estimate(values, float(mean_over(mean_over(values, 0), 0)), interval)


def per_organ(values: np.ndarray, interval: bool) -> list[Estimate]:
    """Mean over cases for each organ of [cases, organs]."""
    return [overall(values[:, [column]], interval) for column in range(values.shape[1])]


def compare(baseline: Run, other: Run, measure: Measure, organ: str | None = None) -> Difference:
    """Paired differences over the cases of both runs: per case the mean over organs, or one organ.

    Only organs that have a value in both runs enter a case's difference.
    """
    pairs = paired_cases(baseline, other)
    differences = other.values(measure)[[j for _, j in pairs]] - baseline.values(measure)[[i for i, _ in pairs]]
    if organ is not None:
        differences = differences[:, [baseline.organs.index(organ)]]
    per_case = mean_over(differences, 1)
    per_case = per_case[np.isfinite(per_case)]
    return Difference(overall(per_case[:, np.newaxis], interval=True), _wilcoxon(per_case))


def paired_cases(baseline: Run, other: Run) -> list[tuple[int, int]]:
    """The positions, in each run, of the cases that both have."""
    places = {result.case: index for index, result in enumerate(other.results)}
    return [(index, places[one.case]) for index, one in enumerate(baseline.results) if one.case in places]


def worst_first(runs: Sequence[Run]) -> list[str]:
    """The names of all cases, lowest Dice first (mean over organs, then over runs)."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for result, value in zip(run.results, mean_over(run.values(DSC), 1), strict=True):
            found.setdefault(result.case, []).append(float(value))
    return sorted(found, key=lambda case: (float(np.nan_to_num(np.mean(found[case]), nan=2.0)), case))


def _estimate(values: np.ndarray, mean: float, interval: bool) -> Estimate:
    cases = int(np.isfinite(values).any(axis=1).sum())
    if not np.isfinite(mean):
        return Estimate(None)
    if not interval or cases < 2:
        return Estimate(mean, cases=cases)
    low, high = _bootstrap(values)
    return Estimate(mean, low, high, cases)


def _bootstrap(values: np.ndarray) -> tuple[float, float]:
    """Percentile 95 % interval of the mean of [cases, organs], drawing cases with replacement."""
    cases = len(values)
    times_drawn = np.random.default_rng(SEED).multinomial(cases, np.full(cases, 1 / cases), RESAMPLES)
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        organ_means = (times_drawn @ np.where(present, values, 0.0)) / (times_drawn @ present)
    low, high = np.nanpercentile(mean_over(organ_means, 1), (2.5, 97.5))
    return float(low), float(high)


def _wilcoxon(differences: np.ndarray) -> float | None:
    if differences.size < 2:
        return None
    if not np.any(differences):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)
