"""Timing several ways of doing one thing, turn by turn, so that what else the machine does meets all of them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from SAMedLib.events import SILENT, Reporter


@dataclass(frozen=True)
class Way:
    """One way of doing it.

    Attributes:
        name: for the table.
        work: does it once, for `units` at a time.
        units: what the time is divided by, such as slices.
    """

    name: str
    work: Callable[[], object]
    units: int = 1


@dataclass(frozen=True)
class Taken:
    """Seconds for one unit: by the clock, and of all processors together."""

    clock: float
    processor: float


@dataclass(frozen=True)
class Row:
    """One way's medians over rounds.

    Attributes:
        clock, processor: seconds for one unit.
        times_clock, times_processor: median over rounds of the first way's seconds over this one's, None for the first
            way itself, and where there is nothing to compare.
    """

    name: str
    clock: float
    processor: float
    times_clock: float | None = None
    times_processor: float | None = None


def take_turns(
    ways: Sequence[Way],
    rounds: int,
    device: torch.device,
    stage: str,
    report: Reporter = SILENT,
    warm_up: int = 1,
    compared: bool = True,
) -> tuple[Row, ...]:
    """Time the ways in rounds (first, second, ..., first, second, ...).

    Args:
        device: waited for before the clock is read.
        stage: what progress is reported of, one unit for each piece of work.
        warm_up: rounds before those that count, in which kernels are chosen and memory is taken.
        compared: whether the first way is what the others are measured against.

    Raises:
        Cancelled: if the user asked to stop; asked between two pieces of work.
    """
    taken: list[list[Taken]] = [[] for _ in ways]
    total = (warm_up + rounds) * len(ways)
    for number in range(total):
        lap, place = divmod(number, len(ways))
        report.progress(stage, number, total, ways[place].name)
        once = _time(ways[place], device)
        if lap >= warm_up:
            taken[place].append(once)
    report.progress(stage, total, total)
    first = taken[0] if compared else None
    return tuple(_row(way.name, own, None if own is first else first) for way, own in zip(ways, taken, strict=True))


def _time(way: Way, device: torch.device) -> Taken:
    _wait_for(device)
    clock, processor = time.perf_counter(), _processor_seconds()
    way.work()
    _wait_for(device)
    return Taken((time.perf_counter() - clock) / way.units, (_processor_seconds() - processor) / way.units)


def _processor_seconds() -> float:
    """Of this process, and of children that have ended."""
    used = os.times()
    return time.process_time() + used.children_user + used.children_system


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _row(name: str, own: Sequence[Taken], first: Sequence[Taken] | None) -> Row:
    clock, processor = (statistics.median(getattr(one, kind) for one in own) for kind in ("clock", "processor"))
    if first is None:
        return Row(name, clock, processor)
    times = [
        statistics.median(
            getattr(plain, kind) / max(getattr(one, kind), 1e-9) for plain, one in zip(first, own, strict=True)
        )
        for kind in ("clock", "processor")
    ]
    return Row(name, clock, processor, *times)
