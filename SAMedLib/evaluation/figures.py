"""Figures of an evaluation: box plots per organ, and contours of prediction and reference on the worst slices."""

from __future__ import annotations

import io

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from SAMedLib.evaluation.pictures import Picture
from SAMedLib.evaluation.runs import Evaluation
from SAMedLib.evaluation.summary import DSC, HD95, Measure
from SAMedLib.evaluation.tables import heading

# colours that stay apart for colour-blind readers (Okabe and Ito)
RUN_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7f7f7f", "#000000")
REFERENCE_COLOR, PREDICTION_COLOR = "#56b4e9", "#ffb000"
_MARGIN, _SMALLEST = 0.25, 48  # around the worst organ, as a share of its size; pixels


def box_plots(evaluation: Evaluation) -> Figure:
    """DSC and HD95 per organ, one box per run, every case a point."""
    organs, runs = evaluation.columns, evaluation.runs
    figure = Figure(figsize=(max(7.0, 0.9 * len(organs) * max(1.0, 0.5 * len(runs))), 6.4), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, measure in zip(axes, (DSC, HD95), strict=True):
        _boxes(axis, evaluation, measure)
    axes[1].set_xticks(range(len(organs)), organs, rotation=25, ha="right")
    if len(runs) > 1:
        handles = [Patch(facecolor=color, label=run.name) for run, color in zip(runs, _colors(len(runs)), strict=True)]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(runs)), frameon=False)
    return figure


def overlay(picture: Picture, organ: str) -> Figure:
    """The slice with all organs' contours, and a closer look at the worst one."""
    figure = Figure(figsize=(8.2, 4.3), layout="constrained", facecolor="black")
    whole, close = figure.subplots(1, 2)
    rows, columns = _around(picture)
    for axis in (whole, close):
        grey = picture.image if picture.image is not None else np.full(picture.prediction.shape, 40, np.uint8)
        axis.imshow(grey, cmap="gray", vmin=0, vmax=255, aspect=picture.aspect, interpolation="nearest")
        axis.set_axis_off()
        axis.set_anchor("N")
    for label in np.union1d(np.unique(picture.prediction), np.unique(picture.reference)):
        if label:
            _contours(whole, picture, int(label), 1.8 if label == picture.organ else 0.8)
    _contours(close, picture, picture.organ, 2.0)
    close.set_xlim(columns[0] - 0.5, columns[1] - 0.5)
    close.set_ylim(rows[1] - 0.5, rows[0] - 0.5)
    whole.set_title(f"slice {picture.slice_index + 1}, all organs", color="white", fontsize=9)
    close.set_title(organ, color="white", fontsize=9)
    lines = [
        Line2D([], [], color=REFERENCE_COLOR, label="reference"),
        Line2D([], [], color=PREDICTION_COLOR, linestyle="--", label="prediction"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False, labelcolor="white", fontsize=9)
    return figure


def as_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor=figure.get_facecolor())
    return buffer.getvalue()


def as_svg(figure: Figure) -> str:
    """The figure as an SVG element, without XML header, same bytes for the same figure."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "samed"}):  # else the names of its clip paths are random
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _boxes(axis: Axes, evaluation: Evaluation, measure: Measure) -> None:
    runs = evaluation.runs
    width = 0.8 / len(runs)
    generator = np.random.default_rng(0)  # spreads points sideways, the same way every time
    for number, (run, color) in enumerate(zip(runs, _colors(len(runs)), strict=True)):
        values = run.values(measure) * measure.factor
        for place, organ in enumerate(evaluation.columns):
            column = values[:, run.organs.index(organ)]
            column = column[np.isfinite(column)]
            position = place - 0.4 + width * (number + 0.5)
            if not column.size:
                continue
            axis.boxplot(
                column,
                positions=[position],
                widths=[width * 0.8],
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"facecolor": color, "alpha": 0.35, "edgecolor": color},
                medianprops={"color": "black"},
                whiskerprops={"color": color},
                capprops={"color": color},
            )
            spread = generator.uniform(-0.15, 0.15, column.size) * width
            axis.plot(position + spread, column, ".", color=color, markersize=4, alpha=0.8)
    axis.set_ylabel(heading(measure, evaluation))
    axis.set_xlim(-0.6, len(evaluation.columns) - 0.4)
    if measure is DSC:
        axis.set_ylim(-2, 102)
    else:
        axis.set_ylim(bottom=0)
    axis.grid(axis="y", color="#dddddd", linewidth=0.7)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _colors(count: int) -> list[str]:
    return [RUN_COLORS[index % len(RUN_COLORS)] for index in range(count)]


def _contours(axis: Axes, picture: Picture, label: int, width: float) -> None:
    for labels, color, style in (
        (picture.reference, REFERENCE_COLOR, "solid"),
        (picture.prediction, PREDICTION_COLOR, "dashed"),
    ):
        mask = labels == label
        if mask.any():
            # padded, so that contours close at the border of the slice
            padded = np.pad(mask, 1).astype(np.float32)
            columns, rows = np.arange(-1, mask.shape[1] + 1), np.arange(-1, mask.shape[0] + 1)
            axis.contour(columns, rows, padded, [0.5], colors=[color], linewidths=[width], linestyles=[style])


def _around(picture: Picture) -> tuple[tuple[int, int], tuple[int, int]]:
    """The rows and the columns that show the organ with some context."""
    there = (picture.prediction == picture.organ) | (picture.reference == picture.organ)
    bounds = []
    for axis, length in ((1, there.shape[0]), (0, there.shape[1])):
        occupied = np.flatnonzero(there.any(axis=axis))
        if not occupied.size:
            bounds.append((0, length))
            continue
        low, high = int(occupied[0]), int(occupied[-1]) + 1
        size = min(length, max(_SMALLEST, round((high - low) * (1 + 2 * _MARGIN))))
        start = min(max(0, (low + high - size) // 2), length - size)
        bounds.append((start, start + size))
    return bounds[0], bounds[1]
