"""Curves of a run as pictures, drawn from its events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from SAMedLib.files import write_then_rename
from SAMedLib.organs import LabelSet

_PARTS = (("loss", "total", "#1f2933"), ("loss_ce", "cross entropy", "#2f7ed8"), ("loss_dice", "Dice", "#d1495b"))


def draw_curves(events: list[dict[str, Any]], label_set: LabelSet, path: Path) -> None:
    """Loss, validation Dice and HD95 per organ, and learning rate over the steps, as one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = [event for event in events if event.get("event") == "metric" and "loss" in event]
    validations = [event for event in events if event.get("event") == "metric" and "dice" in event]
    if not steps:
        return
    with_distances = any(event.get("mean_hd95") is not None for event in validations)
    panels = 2 + bool(validations) + with_distances
    figure = Figure(figsize=(8, 2.6 * panels), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(panels, 1, sharex=True)
    _draw_losses(axes[0], steps)
    if validations:
        _draw_organs(axes[1], validations, "dice", label_set)
        axes[1].set(ylabel="validation Dice", ylim=(0, 1))
        axes[1].legend(frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    if with_distances:
        _draw_organs(axes[2], validations, "hd95", label_set)
        axes[2].set(ylabel="validation HD95, voxels", ylim=(0, None))
    axes[-1].plot([e["step"] for e in steps], [e["lr"] for e in steps], color="#1f2933", lw=1.2)
    axes[-1].set(ylabel="learning rate", xlabel="step")
    axes[-1].ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    for axis in axes:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    with write_then_rename(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_losses(axis: Any, steps: list[dict[str, Any]]) -> None:
    x = np.array([event["step"] for event in steps])
    for key, name, color in _PARTS:
        y = np.array([event[key] if event[key] is not None else np.nan for event in steps], dtype=float)
        axis.plot(x, y, color=color, lw=0.5, alpha=0.25)
        axis.plot(x, smooth(y), color=color, lw=1.5, label=name)
    axis.set(ylabel="training loss", yscale="log")
    axis.legend(frameon=False, ncols=3, fontsize="small")


def _draw_organs(axis: Any, validations: list[dict[str, Any]], measure: str, label_set: LabelSet) -> None:
    """A measure of each organ, and its mean; runs of older versions may lack it at first."""
    x = [event["step"] for event in validations]
    for number, label in enumerate(label_set):
        y = _gaps([event.get(measure, {}).get(label.name) for event in validations])
        color = tuple(channel / 255 for channel in label.color)
        axis.plot(x, y, "--" if number % 2 else "-", color=color, lw=1.2, marker=".", ms=4, label=label.name)
    means = _gaps([event.get(f"mean_{measure}") for event in validations])
    axis.plot(x, means, color="#1f2933", lw=2, marker=".", label="mean")


def _gaps(values: list[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]


def smooth(values: np.ndarray) -> np.ndarray:
    """Mean over a window of 1/50 of the curve, narrower at its ends."""
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    low, high = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)
