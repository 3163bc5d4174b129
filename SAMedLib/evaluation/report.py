"""The report as text for a terminal, as CSV (one row per run, case and organ) and as JSON."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Any

from SAMedLib.evaluation.places import Place
from SAMedLib.evaluation.protocols import OrganScore
from SAMedLib.evaluation.runs import Evaluation
from SAMedLib.evaluation.summary import DSC, HD95, MEASURES, Difference, Estimate, Run, compare, overall, per_organ
from SAMedLib.evaluation.tables import Table, all_measures, comparisons, presence_note, table_1
from SAMedLib.events import to_json_line
from SAMedLib.files import write_then_rename

_FIELDS = ("organ", "presence", *(measure.key for measure in MEASURES), "predicted_ml", "reference_ml")
_FIELDS += ("volume_difference_ml", "predicted_voxels", "reference_voxels")


def as_text(evaluation: Evaluation, bold: bool = False, further: Sequence[Table] = ()) -> str:
    """Tables for a terminal; `bold` marks the best of a column with an escape sequence rather than an asterisk.

    Args:
        further: tables to put behind the first.
    """
    tables = [table_1(evaluation), *further]
    tables += comparisons(evaluation) if len(evaluation.runs) > 1 else [all_measures(evaluation, evaluation.runs[0])]
    notes = [*evaluation.statements, *(presence_note(run) for run in evaluation.runs)]
    return "\n\n".join([*(table_as_text(table, bold) for table in tables), "\n".join(notes)])


def write_csv(evaluation: Evaluation, path: Path) -> None:
    """One row per run, case and organ; missing values are empty, lengths in the unit that the column `unit` names."""
    with write_then_rename(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "case", "protocol", "unit", *_FIELDS])
        for run in evaluation.runs:
            for result in run.results:
                for score in result.scores:
                    values = [getattr(score, field) for field in _FIELDS]
                    writer.writerow(
                        [run.name, result.case, evaluation.protocol.name, evaluation.protocol.unit]
                        + ["" if value is None else value for value in values]
                    )


def write_json(evaluation: Evaluation, path: Path, **further: Any) -> None:
    """Everything: what was done, means with intervals, differences between runs, and every case; `further` first."""
    with write_then_rename(path) as temporary:
        temporary.write_text(to_json_line({**further, **as_dict(evaluation)}), encoding="utf-8")


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """The content of the JSON report."""
    return {
        "protocol": evaluation.protocol.name,
        "unit": evaluation.protocol.unit,
        "nsd_tolerance": evaluation.tolerance,
        "statements": list(evaluation.statements),
        "label_set": evaluation.label_set.to_json(),
        "runs": [_run(evaluation, run) for run in evaluation.runs],
        "differences": [_differences(evaluation, run) for run in evaluation.runs[1:]],
    }


def _run(evaluation: Evaluation, run: Run) -> dict[str, Any]:
    interval = evaluation.protocol.name == "mm"
    organs: dict[str, dict[str, Any]] = {organ: {} for organ in run.organs}
    for measure in MEASURES:
        for organ, estimate in zip(run.organs, per_organ(run.values(measure), interval), strict=True):
            organs[organ][measure.key] = _estimate(estimate)
    cases = [
        {
            "case": result.case,
            "files": {role: str(path.absolute()) for role, path in result.files.items()},
            "organs": [_organ(score, place) for score, place in zip_longest(result.scores, result.places)],
        }
        for result in run.results
    ]
    return {
        "name": run.name,
        "mean": {measure.key: _estimate(overall(run.values(measure), interval)) for measure in MEASURES},
        "organs": organs,
        "presence": {kind: run.count(kind) for kind in ("found", "missed", "spurious", "absent")},
        "cases": cases,
    }


def _organ(score: OrganScore, place: Place | None) -> dict[str, Any]:
    """One organ of one case; `worst_slice` says where to look, None for an organ that neither side has."""
    worst = None if place is None else asdict(place)
    return {**{field: getattr(score, field) for field in _FIELDS}, "worst_slice": worst}


def _differences(evaluation: Evaluation, run: Run) -> dict[str, Any]:
    baseline = evaluation.runs[0]
    organs: list[str | None] = [None, *run.organs]
    return {
        "run": run.name,
        "baseline": baseline.name,
        "test": "Wilcoxon signed-rank, two-sided, uncorrected; means over organs are paired by case",
        **{
            measure.key: {organ or "mean": _difference(compare(baseline, run, measure, organ)) for organ in organs}
            for measure in (DSC, HD95)
        },
    }


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return asdict(estimate)


def _difference(difference: Difference) -> dict[str, Any]:
    return {**asdict(difference.mean), "p": difference.p}


def table_as_text(table: Table, bold: bool = False) -> str:
    """One table for a terminal, under its title."""
    texts = [list(table.headings)]
    texts += [[cell.text + ("" if bold or not cell.best else "*") for cell in row] for row in table.rows]
    widths = [max(len(line[column]) for line in texts) for column in range(len(table.headings))]
    lines = []
    for number, line in enumerate(texts):
        padded = [line[0].ljust(widths[0])] + [
            text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)
        ]
        if bold and number:
            best = [cell.best for cell in table.rows[number - 1]]
            padded = [f"\033[1m{text}\033[0m" if is_best else text for text, is_best in zip(padded, best, strict=True)]
        lines.append("  ".join(padded).rstrip())
    lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join([table.title, *lines])
