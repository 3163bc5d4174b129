"""Watching a job from the main thread."""

from __future__ import annotations

import collections
import contextlib
import logging
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.Progress import SCANS, Progress
from SAMedSlicerLib.RemainingTime import RemainingTime

if TYPE_CHECKING:
    from SAMedSlicerLib.Host import Timer

_BUDGET_S = 0.02  # of the main thread's time for each tick
_LINES = 200  # read at once within that time
_GRACE_S = 2.0  # between asking a process to end and ending it
_GIVE_UP_S = 5.0  # after which a process that cannot be ended is left alone


class JobMonitor:
    """Watches one job at a time with a timer on the main thread; knows stage, fraction, remaining time.

    Args:
        timer: a repeating timer of this monitor alone.
        onEvent: gets each event.
        onFinished: gets the job exactly once, when it has ended and all of its events were handed out: by itself, by
            cancel(), or because it was killed. Not after detach() or close(): then nobody is there to be told.
            It may watch another job at once.
    """

    def __init__(
        self,
        timer: Timer,
        onEvent: Callable[[dict], None],
        onFinished: Callable[[Job], None],
        interval_ms: int = 100,
    ) -> None:
        self._onEvent = onEvent
        self._onFinished = onFinished
        self._job: Job | None = None
        self._events: collections.deque[dict] = collections.deque()
        self._progress: Progress | None = None
        self._times: dict[str, RemainingTime] = {}
        self._ticking = False
        self._killAt: float | None = None
        self._terminated = False
        self._abandoned: weakref.finalize | None = None
        self._timer = timer
        self._timer.interval = interval_ms
        timer.connect("timeout()", _slot(timer, weakref.ref(self)))
        # onFinished may drop this monitor, and then the timer must not go while it is calling
        weakref.finalize(self, _discard, timer).atexit = False

    def watch(self, job: Job) -> None:
        """Watch a job that was started or found."""
        assert self._job is None, "one job at a time"
        self._job = job
        self._events.clear()
        self._progress = None
        self._times = {}
        self._killAt, self._terminated = None, False
        if not job.detached:  # also when this monitor is dropped or Python ends
            self._abandoned = weakref.finalize(self, job.kill)
        self._timer.start()

    def cancel(self, patience_s: float = 10) -> None:
        """Ask the job to stop, and end it if it has not after `patience_s`; onFinished follows."""
        if self._job is not None and self._killAt is None:
            self._job.requestStop()
            self._killAt = time.monotonic() + patience_s

    def detach(self) -> None:
        """Stop watching and let the job run."""
        self._letGo()

    def close(self) -> None:
        """The panel goes: end the job unless it is detached. Takes up to 2 s."""
        job = self._job
        self._letGo()
        if job is not None and not job.detached:
            job.kill()

    @property
    def busy(self) -> bool:
        return self._job is not None

    @property
    def job(self) -> Job | None:
        """The job that is watched."""
        return self._job

    @property
    def progress(self) -> Progress | None:
        """How far it is, None as long as it has not said."""
        if self._progress is None:
            return None
        clock = self._times.get(self._clockName())
        return replace(self._progress, remaining_s=clock.remaining(time.monotonic()) if clock else None)

    def _letGo(self) -> None:
        self._timer.stop()
        self._job = None
        self._events.clear()
        if self._abandoned is not None:
            self._abandoned.detach()
            self._abandoned = None

    def _tick(self) -> None:
        if self._job is None or self._ticking:  # a callback that shows a dialog lets the timer run on
            return
        self._ticking = True
        try:
            self._work(self._job)
        finally:
            self._ticking = False

    def _work(self, job: Job) -> None:
        deadline = time.monotonic() + _BUDGET_S
        ended = not job.running or self._hopeless()  # asked before reading: what it wrote last is then there
        while time.monotonic() < deadline and self._job is job:
            if not self._events:
                self._events.extend(job.poll(_LINES))
            if self._events:
                self._hand(self._events.popleft())
            elif job.caughtUp:
                break
        if self._job is not job:
            return
        if not self._events and job.caughtUp:
            self._measure()
            if ended:
                self._letGo()
                self._call(self._onFinished, job)
                return
        self._pressOn(job)

    def _hand(self, event: dict) -> None:
        if event["event"] == "progress":
            self._note(event)
        self._call(self._onEvent, event)

    def _call(self, function: Callable, argument: object) -> None:
        try:
            function(argument)
        except Exception:  # what a panel does wrong must not end the watching
            logging.getLogger(__name__).exception("A panel could not deal with what a job said.")

    def _note(self, event: dict) -> None:
        try:
            stage, message = str(event["stage"]), str(event.get("message", ""))
            done, total = int(event["done"]), int(event["total"])
        except (KeyError, TypeError, ValueError):
            return
        earlier = self._progress or Progress("", 0, 0)
        if stage == SCANS:
            self._progress = Progress(stage, 0, 0, "", None, done + 1, total, message)
        else:
            self._progress = replace(earlier, stage=stage, done=done, total=total, message=message)

    def _measure(self) -> None:
        """Note how far it is now; events that come late, of a job found again, tell nothing about its pace."""
        progress = self._progress
        if progress is None:
            return
        clock = self._times.setdefault(self._clockName(), RemainingTime())
        if progress.scans:
            clock.sample(time.monotonic(), (progress.fraction or 0.0) * progress.scans, progress.scans)
        else:
            clock.sample(time.monotonic(), progress.done, progress.total)

    def _clockName(self) -> str:
        assert self._progress
        return SCANS if self._progress.scans else self._progress.stage

    def _pressOn(self, job: Job) -> None:
        """After the patience of cancel(): tell it to end, then end it."""
        if self._killAt is None:
            return
        late = time.monotonic() - self._killAt
        if late > _GRACE_S:
            job.terminate(force=True)
        elif late > 0 and not self._terminated:
            self._terminated = True
            job.terminate()

    def _hopeless(self) -> bool:
        return self._killAt is not None and time.monotonic() - self._killAt > _GIVE_UP_S


def _slot(timer: Timer, monitor: weakref.ref[JobMonitor]) -> Callable[[], None]:
    """What the timer calls. It keeps the timer alive, until that is deleted, but not a monitor whose panel is gone."""

    def onTimeout() -> None:
        existing = monitor()
        if existing is not None:
            existing._tick()
        else:
            timer.stop()

    return onTimeout


def _discard(timer: Timer) -> None:
    with contextlib.suppress(RuntimeError, ValueError):  # the application has deleted it already
        timer.deleteLater()
