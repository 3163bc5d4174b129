"""The tables of a report, as cells of text, for the terminal and for HTML alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from SAMedLib.evaluation.runs import Evaluation
from SAMedLib.evaluation.summary import (
    DSC,
    HD95,
    MEASURES,
    Estimate,
    Measure,
    Run,
    compare,
    mean_over,
    overall,
    paired_cases,
    per_organ,
)

MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """Text; `best` if it is the best of its column, `value` for sorting."""

    text: str
    best: bool = False
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A heading for each column, and rows whose first cell names them."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def table_1(evaluation: Evaluation) -> Table:
    """One line per run as in the paper's Table 1: mean DSC, mean HD95, DSC of each organ; intervals below with `mm`."""
    with_interval = evaluation.protocol.name == "mm"
    lines: list[tuple[str, list[tuple[Measure, Estimate]]]] = []
    for run in evaluation.runs:
        organs = per_organ(run.values(DSC), with_interval)
        estimates = [(measure, overall(run.values(measure), with_interval)) for measure in (DSC, HD95)]
        estimates += [(DSC, organs[run.organs.index(organ)]) for organ in evaluation.columns]
        lines.append((run.name, estimates))
    best = [_best(measure, [line[1][i][1].mean for line in lines]) for i, (measure, _) in enumerate(lines[0][1])]
    rows = []
    for number, (name, estimates) in enumerate(lines):
        cells = [
            Cell(_number(estimate.mean, measure), number in best[i], estimate.mean)
            for i, (measure, estimate) in enumerate(estimates)
        ]
        rows.append((Cell(name), *cells))
        if with_interval:
            rows.append((Cell("  95 % interval"), *(Cell(_interval(e, measure)) for measure, e in estimates)))
    headings = ("", "DSC %", f"HD95 {evaluation.protocol.unit}", *evaluation.columns)
    return Table("Mean Dice, mean HD95, and Dice of each organ", headings, tuple(rows))


def all_measures(evaluation: Evaluation, run: Run) -> Table:
    """Every measure for every organ of one run, means over cases."""
    estimates = {measure.key: per_organ(run.values(measure), interval=False) for measure in MEASURES}
    rows = []
    for organ in evaluation.columns:
        column = run.organs.index(organ)
        cells = [_estimate_cell(estimates[measure.key][column], measure) for measure in MEASURES]
        rows.append((Cell(organ), *cells))
    means = [_estimate_cell(overall(run.values(measure), interval=False), measure) for measure in MEASURES]
    rows.append((Cell("mean"), *means))
    headings = ("", *(heading(measure, evaluation) for measure in MEASURES))
    return Table(f"All measures, {run.name}", headings, tuple(rows))


def per_case(evaluation: Evaluation, run: Run, order: Sequence[str]) -> Table:
    """One line per case in the given order: mean DSC and HD95, then DSC and HD95 of each organ."""
    means = [mean_over(run.values(measure), 1) for measure in (DSC, HD95)]
    places = {result.case: index for index, result in enumerate(run.results)}
    rows = []
    for case in order:
        if case not in places:
            continue
        index = places[case]
        cells = [_value_cell(means[i][index], measure) for i, measure in enumerate((DSC, HD95))]
        for organ in evaluation.columns:
            score = run.results[index].scores[run.organs.index(organ)]
            note = "" if score.presence in ("found", "absent") else f" {score.presence}"
            text = f"{_number(score.dsc, DSC)} / {_number(score.hd95, HD95)}{note}"
            cells.append(Cell(text, value=score.dsc))
        rows.append((Cell(case), *cells))
    headings = ("case", "DSC %", f"HD95 {evaluation.protocol.unit}", *evaluation.columns)
    return Table(f"Cases, {run.name}: DSC % / HD95 {evaluation.protocol.unit}", headings, tuple(rows))


def comparisons(evaluation: Evaluation) -> list[Table]:
    """How each further run differs from the first: mean paired difference, interval, Wilcoxon's p; per organ too."""
    baseline = evaluation.runs[0]
    tables = []
    for run in evaluation.runs[1:]:
        rows = []
        for organ in (None, *evaluation.columns):
            cells = []
            for measure in (DSC, HD95):
                difference = compare(baseline, run, measure, organ)
                cells += [
                    Cell(_number(difference.mean.mean, measure, signed=True), value=difference.mean.mean),
                    Cell(_interval(difference.mean, measure, signed=True)),
                    Cell(MISSING if difference.p is None else f"{difference.p:.3g}", value=difference.p),
                    Cell(str(difference.mean.cases)),
                ]
            rows.append((Cell(organ or "mean over organs"), *cells))
        pairs = len(paired_cases(baseline, run))
        unit = evaluation.protocol.unit
        headings = ("", "DSC %", "95 % interval", "p", "cases", f"HD95 {unit}", "95 % interval", "p", "cases")
        few = "; fewer than 6 pairs cannot reach p < 0.05" if pairs < 6 else ""
        test = f"p: Wilcoxon signed-rank, two-sided, uncorrected{few}"
        title = f"{run.name} minus {baseline.name} on {pairs} common cases ({test})"
        tables.append(Table(title, headings, tuple(rows)))
    return tables


def presence_note(run: Run) -> str:
    """A sentence about organs that the run missed or made up."""
    return (
        f"{run.name}, cases: {len(run.results)}; organs missed: {run.count('missed')}, predicted where the reference "
        f"has none: {run.count('spurious')}, absent from both: {run.count('absent')}."
    )


def heading(measure: Measure, evaluation: Evaluation) -> str:
    """The measure's title with its unit."""
    return f"{measure.title} {measure.unit or evaluation.protocol.unit}"


def _estimate_cell(estimate: Estimate, measure: Measure) -> Cell:
    return Cell(_number(estimate.mean, measure), value=estimate.mean)


def _value_cell(value: float, measure: Measure) -> Cell:
    number = float(value) if np.isfinite(value) else None
    return Cell(_number(number, measure), value=number)


def _best(measure: Measure, means: Sequence[float | None]) -> set[int]:
    """The places of the best mean, none if there is nothing to compare."""
    goodness: dict[int, Callable[[float], float]] = {1: float, -1: lambda x: -x, 0: lambda x: -abs(x)}
    scores = {index: goodness[measure.better](mean) for index, mean in enumerate(means) if mean is not None}
    if len(means) < 2 or not scores:
        return set()
    return {index for index, score in scores.items() if score == max(scores.values())}


def _number(value: float | None, measure: Measure, signed: bool = False) -> str:
    if value is None:
        return MISSING
    return f"{value * measure.factor:{'+' if signed else ''}.2f}"


def _interval(estimate: Estimate, measure: Measure, signed: bool = False) -> str:
    if estimate.low is None or estimate.high is None:
        return MISSING
    between = " to " if signed else "–"
    return f"{_number(estimate.low, measure, signed)}{between}{_number(estimate.high, measure, signed)}"
