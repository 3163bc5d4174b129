"""Scoring the cases of one or several runs under one protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from SAMedLib.evaluation.cases import Case
from SAMedLib.evaluation.pictures import Picture, picture_of
from SAMedLib.evaluation.places import worst_places
from SAMedLib.evaluation.protocols import Protocol, evaluate_case
from SAMedLib.evaluation.summary import CaseResult, Run
from SAMedLib.events import SILENT, Reporter
from SAMedLib.organs import SYNAPSE, LabelSet

# the order of the organs in the paper's Table 1
_TABLE_1 = ("aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach")


@dataclass(frozen=True)
class Evaluation:
    """Runs scored alike, and what whoever reads the numbers must know.

    Attributes:
        runs: the first is the baseline that the others are compared with.
        tolerance: of the normalised surface Dice, in the protocol's unit.
        statements: sentences about protocol, engine, labels and files left out.
    """

    label_set: LabelSet
    protocol: Protocol
    tolerance: float
    runs: tuple[Run, ...]
    statements: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The organs in the order of the tables: the paper's for its eight organs, else that of the labels."""
        names = self.label_set.names
        return _TABLE_1 if set(names) == set(SYNAPSE.names) else names


@dataclass(frozen=True)
class Scoring:
    """How every case is scored; see `evaluate_case`."""

    label_set: LabelSet
    protocol: Protocol
    tolerance: float = 2.0
    engine: str = "fast"

    def score(
        self,
        name: str,
        cases: Iterable[Case],
        total: int,
        report: Reporter = SILENT,
        alike: Mapping[str, Picture] | None = None,
    ) -> tuple[Run, tuple[str, ...]]:
        """Score one run, one case in memory at a time.

        Args:
            name: of the run.
            total: number of cases, for progress.
            alike: pictures of an earlier run; this run's show the same slices.

        Returns:
            The run, and how its labels were understood.
        """
        results, treatments = [], {}
        for case in cases:
            scores = evaluate_case(
                case.prediction,
                case.reference,
                self.label_set,
                case.spacing,
                self.protocol.name,
                self.tolerance,
                self.engine,
            )
            places = worst_places(case, len(self.label_set.labels))
            picture = picture_of(case, scores, places, (alike or {}).get(case.name))
            results.append(CaseResult(case.name, tuple(scores), picture, places, case.files))
            treatments.update(dict.fromkeys(case.treatments))
            report.progress(f"evaluating {name}", len(results), total, case.name)
        return Run(name, tuple(results)), tuple(treatments)

    def statements(self) -> tuple[str, ...]:
        """What protocol, tolerance and engine did, for the report."""
        engine = (
            "Dice and HD95 are medpy's dc and hd95 on whole volumes; the other measures are SAMedLib's."
            if self.engine == "medpy"
            else "Dice and HD95 equal medpy's dc and hd95 (SAMedLib's fast engine)."
        )
        nsd = f"NSD is the share of surface voxels within {self.tolerance:g} {self.protocol.unit} of the other surface."
        return self.protocol.statement, f"{engine} {nsd}"
