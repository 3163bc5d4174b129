"""The report of `samed evaluate`, as the Evaluate tab shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from SAMedLib.organs import LabelSet

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


@dataclass(frozen=True)
class CaseScores:
    """One case.

    Attributes:
        files: paths of "prediction", "reference" and "image", as far as they are files.
    """

    name: str
    organs: tuple[OrganScore, ...]
    files: dict[str, str]

    @property
    def dsc(self) -> float | None:
        return mean([one.dsc for one in self.organs])

    @property
    def hd95(self) -> float | None:
        return mean([one.hd95 for one in self.organs])

    @property
    def worst(self) -> OrganScore | None:
        """The organ to look at first; None if neither side has any."""
        there = [one for one in self.organs if one.presence != ABSENT]
        scores = {MISSED: -1.0, SPURIOUS: 0.0}
        return min(there, key=lambda one: scores.get(one.presence, one.dsc or 0.0), default=None)


@dataclass(frozen=True)
class EvaluationResult:
    """All cases, worst first.

    Attributes:
        unit: of distances, "mm" or "voxels".
        means: of each organ over the cases.
        meanDsc, meanHd95: over cases for each organ, then over organs.
        statements: what protocol and engine did, the treatment of labels, files left out.
    """

    protocol: str
    unit: str
    labelSet: LabelSet
    cases: tuple[CaseScores, ...]
    means: tuple[OrganScore, ...]
    meanDsc: float | None
    meanHd95: float | None
    statements: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> EvaluationResult:
        """Raises OSError, ValueError, KeyError if the file is not there or damaged."""
        from SAMedLib.organs import LabelSet

        content = json.loads(path.read_text(encoding="utf-8"))
        (run,) = content["runs"]
        cases = [_case(entry) for entry in run["cases"]]
        cases.sort(key=lambda case: (2.0 if case.dsc is None else case.dsc, case.name))
        means = tuple(_mean(organ, measures, cases) for organ, measures in run["organs"].items())
        return cls(
            content["protocol"],
            content["unit"],
            LabelSet.from_json(content["label_set"]),
            tuple(cases),
            means,
            run["mean"]["dsc"]["mean"],
            run["mean"]["hd95"]["mean"],
            tuple(content["statements"]),
        )


def words(case: CaseScores, protocol: str) -> str:
    """What the numbers do not show: organs that one side or both lack."""
    published = protocol == "paper"
    sentences = (
        (
            MISSED,
            _("Missed by the prediction: {organs} (counts as Dice 0, distance 0).")
            if published
            else _("Missed by the prediction: {organs} (counts as Dice 0, without a distance)."),
        ),
        (
            SPURIOUS,
            _("Only in the prediction: {organs} (counts as Dice 1, as in the published script).")
            if published
            else _("Only in the prediction: {organs} (not scored)."),
        ),
        (
            ABSENT,
            _("In neither: {organs} (counts as Dice 0, as in the published script).")
            if published
            else _("In neither: {organs} (not scored)."),
        ),
    )
    listed = []
    for presence, sentence in sentences:
        organs = [one.organ for one in case.organs if one.presence == presence]
        if organs:
            listed.append(sentence.format(organs=", ".join(organs)))
    return " ".join(listed)


def mean(values: Sequence[float | None]) -> float | None:
    """Of what is there; None if nothing is."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _mean(organ: str, measures: dict[str, Any], cases: Sequence[CaseScores]) -> OrganScore:
    # a volume of 0 mL on both sides tells nothing
    there = [one for case in cases for one in case.organs if one.organ == organ and one.presence != ABSENT]
    predicted, reference = mean([one.predictedMl for one in there]), mean([one.referenceMl for one in there])
    return OrganScore(organ, "", measures["dsc"]["mean"], measures["hd95"]["mean"], predicted, reference)


def _case(entry: dict[str, Any]) -> CaseScores:
    return CaseScores(entry["case"], tuple(_organ(one) for one in entry["organs"]), entry["files"])


def _organ(entry: dict[str, Any]) -> OrganScore:
    worst = entry["worst_slice"]
    position = worst["position"] if worst else None
    return OrganScore(
        entry["organ"],
        entry["presence"],
        entry["dsc"],
        entry["hd95"],
        entry["predicted_ml"],
        entry["reference_ml"],
        tuple(position) if position else None,
        worst["slice"] + 1 if worst else None,
    )
