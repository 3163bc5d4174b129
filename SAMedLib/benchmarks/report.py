"""Results of a benchmark as text, as plain data, and as a bar chart."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

import SAMedLib
from SAMedLib.benchmarks.tasks import FULL_VOLUME, PUBLISHED, Result
from SAMedLib.benchmarks.timing import Row

_NAME, _NUMBER = 28, 12  # characters of a column
_KINDS = {"clock": "by the clock", "processor": "by processor time"}
_COLORS = {"clock": "#0072b2", "processor": "#9ccbe8"}


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures belong to."""
    found = {
        "processor": _processor_name(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": _load(),
        "device": str(device),
        "pytorch": torch.__version__,
        "samed": SAMedLib.__version__,
    }
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def heading(of: dict[str, Any]) -> str:
    """What is measured on, and what the columns of the tables mean."""
    load = "" if of["load"] is None else f", {of['load']:.1f} other processes computing"
    lines = [
        f"{of['processor']}, {of['threads']} of {of['processors']} processors{load}",
        *([of["gpu"]] if "gpu" in of else []),
        f"PyTorch {of['pytorch']}, SAMedLib {of['samed']}, network on {of['device']}",
        "clock: seconds by the clock; processor: seconds of all processors together, which other work on the machine",
        "disturbs less. Medians over rounds in turns; x: times as fast as the published algorithm, median of rounds.",
    ]
    return "\n".join(lines)


def table(result: Result) -> str:
    """A line for each way, and the remarks."""
    title = f"{result.title}; seconds a {result.unit}"
    columns = "".join(f"{name:>{_NUMBER}}" for name in ("clock", "x", "processor", "x"))
    lines = [title[0].upper() + title[1:], " " * (_NAME + 2) + columns]
    lines += [_line(row) for row in result.rows]
    lines += [f"  {remark}" for remark in result.remarks]
    return "\n".join(lines)


def summary(results: Sequence[Result]) -> str:
    """What a whole scan takes; empty if the parts of it were not all measured."""
    whole = whole_scan(results)
    if not whole:
        return ""
    lines = [f"A scan of {FULL_VOLUME[0]} slices with evaluation, added up from the above; clock"]
    for name, (seconds, times) in whole.items():
        lines.append(
            f"  {name:<{_NAME}}{_minutes(seconds):>{_NUMBER}}{'' if name == PUBLISHED else _times(times):>{_NUMBER}}"
        )
    return "\n".join(lines)


def as_data(results: Sequence[Result], of: dict[str, Any]) -> dict[str, Any]:
    """For JSON."""
    return {"machine": of, "results": [dataclasses.asdict(result) for result in results]}


def whole_scan(results: Sequence[Result]) -> dict[str, tuple[float, float]]:
    """By way: seconds by the clock for a scan of the published test set and its evaluation, and times the published.

    Empty unless slice and evaluation were measured, the latter at that size and against medpy.
    """
    found = {result.task: result for result in results}
    if not {"slice", "evaluation"} <= found.keys() or len(found["evaluation"].rows) < 2:
        return {}
    if " x ".join(str(length) for length in reversed(FULL_VOLUME)) not in found["evaluation"].title:
        return {}
    theirs, ours = (row.clock for row in found["evaluation"].rows)
    seconds = {
        row.name: FULL_VOLUME[0] * row.clock + (theirs if row.name == PUBLISHED else ours)
        for row in found["slice"].rows
    }
    return {name: (own, seconds[PUBLISHED] / own) for name, own in seconds.items()}


def chart(results: Sequence[Result], of: dict[str, Any]) -> Figure:
    """Bars: how many times as fast as the published algorithm, on a logarithmic axis."""
    bars = [(result, row) for result in results for row in result.rows if _is_a_bar(result, row)]
    figure = Figure(figsize=(8.5, 1.7 + 0.42 * max(1, len(bars))), layout="constrained")
    axis = figure.subplots()
    half = 0.38
    for place, (_, row) in enumerate(bars):
        for shift, kind in ((-half / 2, "clock"), (half / 2, "processor")):
            times = getattr(row, f"times_{kind}")
            axis.barh(
                place + shift, times - 1, half, left=1, color=_COLORS[kind], label=_KINDS[kind] if place == 0 else None
            )
            axis.annotate(
                _times(times), (times, place + shift), (3, 0), textcoords="offset points", va="center", size=7
            )
    axis.set_yticks(range(len(bars)), [f"{result.task}, {row.name}" for result, row in bars])
    axis.invert_yaxis()
    axis.axvline(1, color="#1f2933", lw=1)
    axis.set_xscale("log")
    largest = max((max(row.times_clock, row.times_processor) for _, row in bars), default=10)
    axis.set_xlim(min([0.7, *(min(row.times_clock, row.times_processor) for _, row in bars)]), 1.6 * largest)
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= 1.6 * largest]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("times as fast as the published algorithm")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", alpha=0.25)
    axis.set_axisbelow(True)
    where = of.get("gpu", of["processor"])
    axis.set_title(
        f"{where}, {of['threads']} CPU thread{'s' * (of['threads'] > 1)}, PyTorch {of['pytorch']}", size=9, loc="left"
    )
    if bars:
        figure.legend(frameon=False, fontsize="small", loc="outside lower right", ncols=2)
    return figure


def _is_a_bar(result: Result, row: Row) -> bool:
    return result.yardstick == PUBLISHED and row.times_clock is not None


def _line(row: Row) -> str:
    cells = [_seconds(row.clock), _times(row.times_clock), _seconds(row.processor), _times(row.times_processor)]
    return f"  {row.name:<{_NAME}}" + "".join(f"{cell:>{_NUMBER}}" for cell in cells)


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _times(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}x" if value >= 100 else f"{value:.3g}x"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _load() -> float | None:
    """Processes that computed in the last minute; None where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
