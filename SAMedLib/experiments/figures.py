"""Figures of an experiment: predictions of several runs side by side, and their loss curves in one picture."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from SAMedLib.evaluation.figures import RUN_COLORS
from SAMedLib.evaluation.pictures import Picture
from SAMedLib.evaluation.runs import Evaluation
from SAMedLib.evaluation.summary import DSC, Run, mean_over, worst_first
from SAMedLib.organs import LabelSet
from SAMedLib.training.figures import smooth

# far apart, where the label sets' own colours are anatomical: half of the eight organs are some red
_ORGAN_COLORS = ("#4e79a7", "#f28e2b", "#ffd43b", "#59a14f", "#e15759", "#b07aa1", "#76f0f0", "#ff9da7")
_PANEL = 2.4  # inches


def side_by_side(evaluation: Evaluation, rows: int = 3) -> Figure:
    """The image, the reference and each run's prediction, case by case (the paper's Figure 5).

    The cases are the worst, the best, and those at equal distances between, by mean Dice of all runs; of each the slice
    where the first run is most wrong.
    """
    order = [case for case in worst_first(evaluation.runs) if _pictures(evaluation, case)]
    if not order:
        return _nothing_to_show()
    places = np.linspace(0, len(order) - 1, min(rows, len(order))).round().astype(int)
    lines = [(order[place], _pictures(evaluation, order[place])) for place in places]
    # label files of others may come without an image
    firsts = [max(pictures.values(), key=lambda picture: picture.image is not None) for _, pictures in lines]
    heights = [_height_over_width(first) for first in firsts]
    headings = ("image", "reference", *(run.name for run in evaluation.runs))
    size = (_PANEL * len(headings), _PANEL * sum(heights) + 0.35 * len(lines) + 0.9)
    figure = Figure(figsize=size, layout="constrained", facecolor="black")
    axes = figure.subplots(len(lines), len(headings), squeeze=False, height_ratios=heights)
    colors = _colors(evaluation.label_set)
    seen: set[int] = set()
    for axis, heading in zip(axes[0], headings, strict=True):
        axis.set_title(heading, color="white", fontsize=10, weight="bold")
    for line, (case, pictures), first in zip(axes, lines, firsts, strict=True):
        shown = [np.zeros_like(first.reference), first.reference]
        captions = [f"{case}, slice {first.slice_index + 1}", ""]
        for run in evaluation.runs:
            has_case = run.name in pictures
            shown.append(pictures[run.name].prediction if has_case else None)
            captions.append(f"mean Dice {100 * _mean_dice(run, case):.1f} %" if has_case else "")
        for axis, labels, caption in zip(line, shown, captions, strict=True):
            axis.set_axis_off()
            axis.text(0.5, -0.03, caption, transform=axis.transAxes, color="white", fontsize=8, ha="center", va="top")
            if labels is not None:
                _show(axis, first, labels, colors)
                seen |= set(np.unique(labels))
    handles = [
        Patch(color=colors[label.value - 1], label=label.name) for label in evaluation.label_set if label.value in seen
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(8, len(handles)), frameon=False, labelcolor="white"
    )
    return figure


def loss_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """The training loss of each run over its steps, smoothed over a fiftieth of them (the paper's Figure 6).

    Args:
        runs: by name, the events of the run's folder.
    """
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axis = figure.subplots()
    for number, (name, events) in enumerate(runs.items()):
        steps = loss_events(events)
        x = np.array([event["step"] for event in steps])
        y = np.array([np.nan if event["loss"] is None else event["loss"] for event in steps], dtype=float)
        color = RUN_COLORS[number % len(RUN_COLORS)]
        axis.plot(x, y, color=color, lw=0.5, alpha=0.2)
        axis.plot(x, smooth(y), color=color, lw=1.7, label=name)
    axis.set(xlabel="step", ylabel="training loss")
    axis.set_ylim(0, 1.05 * axis.dataLim.y1 if runs else None)  # flat curves would lie on the edge otherwise
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure


def loss_events(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The training steps among the events of a run."""
    return [event for event in events if event.get("event") == "metric" and "loss" in event]


def _pictures(evaluation: Evaluation, case: str) -> dict[str, Picture]:
    """By run, its picture of this case; all show the same slice."""
    found = {}
    for run in evaluation.runs:
        for result in run.results:
            if result.case == case and result.picture is not None:
                found[run.name] = result.picture
    return found


def _show(axis: Axes, picture: Picture, labels: np.ndarray, colors: Sequence[tuple[float, float, float]]) -> None:
    grey = picture.image if picture.image is not None else np.full(labels.shape, 40, np.uint8)
    rows, columns = _body(picture)
    axis.imshow(_painted(grey, labels, colors)[rows, columns], aspect=picture.aspect, interpolation="nearest")


def _body(picture: Picture) -> tuple[slice, slice]:
    """The rows and columns that hold more than air, and a margin."""
    there = (picture.prediction > 0) | (picture.reference > 0)
    if picture.image is not None:
        there |= picture.image > 0
    bounds = []
    for axis in (1, 0):
        occupied = np.flatnonzero(there.any(axis=axis))
        length = there.shape[1 - axis]
        margin = 1 + length // 50
        bounds.append(slice(max(0, int(occupied[0]) - margin), min(length, int(occupied[-1]) + 1 + margin)))
    return bounds[0], bounds[1]


def _height_over_width(picture: Picture) -> float:
    rows, columns = _body(picture)
    return picture.aspect * (rows.stop - rows.start) / (columns.stop - columns.start)


def _mean_dice(run: Run, case: str) -> float:
    place = [result.case for result in run.results].index(case)
    return float(mean_over(run.values(DSC), 1)[place])


def _nothing_to_show() -> Figure:
    figure = Figure(figsize=(6, 2), facecolor="black")
    figure.text(0.5, 0.5, "No case has an organ to show.", color="white", ha="center")
    return figure


def _painted(grey: np.ndarray, labels: np.ndarray, colors: Sequence[tuple[float, float, float]]) -> np.ndarray:
    """RGB float [rows, columns, 3]: organs in their colours, the image shining through."""
    painted = np.repeat(grey[..., None] / 255.0, 3, axis=2)
    palette = np.array([(0.0, 0.0, 0.0), *colors])
    organ = labels > 0
    painted[organ] = 0.35 * painted[organ] + 0.65 * palette[labels[organ]]
    return painted


def _colors(label_set: LabelSet) -> list[tuple[float, float, float]]:
    count = len(label_set.labels)
    if count <= len(_ORGAN_COLORS):
        return [tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)) for color in _ORGAN_COLORS[:count]]
    return [colorsys.hsv_to_rgb(number / count, 0.6 if number % 2 else 0.9, 0.95) for number in range(count)]
