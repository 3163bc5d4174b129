"""The report of `samed evaluate`, as the Evaluate tab shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SAMedSlicerLib.CaseScores import CaseScores
from SAMedSlicerLib.OrganScore import ABSENT, OrganScore, mean

if TYPE_CHECKING:
    from SAMedLib.organs import LabelSet


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
