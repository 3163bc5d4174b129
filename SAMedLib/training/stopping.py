"""Stopping a run between two steps, so that nothing is lost and a resume is exact."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import torch
import torch.distributed as dist

from SAMedLib.events import Reporter


class StopRequest:
    """Collects Ctrl-C, SIGTERM and the stop file while it is entered; a second signal interrupts at once."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._signalled = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def agreed(self, device: torch.device) -> bool:
        """Whether to stop now. All ranks ask at the same step and get the same answer."""
        wanted = self._signalled or self._report.stop_requested
        if not (dist.is_available() and dist.is_initialized()):
            return wanted
        flag = torch.tensor(float(wanted), device=device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
