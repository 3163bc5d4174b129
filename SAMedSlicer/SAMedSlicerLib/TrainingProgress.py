"""How far a training is, in words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Progress import Progress, duration
from SAMedSlicerLib.TrainingRun import FINISHED, STOPPED, TrainingRun, epochsOf


class TrainingProgress:
    """Follows the events of one training."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        self._timetable: tuple[int, int] | None = None
        self._epoch = 0
        self._dice: float | None = None
        self._best: float | None = None
        self._end: float | None = None

    def note(self, event: Mapping[str, Any]) -> bool:
        """Take in an event.

        Returns:
            whether there is a new point for the curves.
        """
        if event.get("event") != "metric":
            return False
        self._epoch = int(event.get("epoch") or self._epoch)
        if event.get("mean_dice") is not None:
            self._dice = float(event["mean_dice"])
            self._best = max(self._dice, self._best or 0.0)
        return True

    def replay(self) -> None:
        """Take in what the run folder tells, for a training that ran before."""
        for event in self._run.events():
            self.note(event)

    def describe(self, progress: Progress) -> str:
        """For example "Epoch 3 of 20, validation Dice 0.81, about 12 min left"."""
        if progress.stage not in ("training", "validating"):
            return progress.text
        if progress.stage == "training" and progress.remaining_s is not None:
            self._end = time.monotonic() + progress.remaining_s  # counts the validations between steps, too
        text = self.summary()
        if progress.stage == "validating":
            text = _("{text}, validating").format(text=text)
        if self._end is None:
            return text
        remaining = duration(max(0.0, self._end - time.monotonic()))
        return _("{text}, {remaining} left").format(text=text, remaining=remaining)

    def summary(self) -> str:
        """How far it got."""
        self._timetable = self._timetable or self._run.timetable()
        text = _("Epoch {epoch}").format(epoch=max(1, self._epoch))
        if self._timetable:
            text = _("Epoch {epoch} of {epochs}").format(epoch=max(1, self._epoch), epochs=epochsOf(self._timetable))
        if self._dice is None:
            return text
        return _("{text}, validation Dice {dice:.2f}").format(text=text, dice=self._dice)

    @property
    def best(self) -> float | None:
        """The best validation Dice."""
        return self._best


def howItEnded(run: TrainingRun, message: str = "") -> str:
    """A sentence or two about a training that runs no more.

    Args:
        message: why its job failed, if that is known.
    """
    progress = TrainingProgress(run)
    progress.replay()
    state, canResume = run.state(), run.canResume
    resume = _("Resume goes on from where it was saved.") if canResume else ""
    if state == FINISHED:
        finished = _("Finished.")
        if progress.best is not None:
            finished = _("Finished, best validation Dice {dice:.2f}.").format(dice=progress.best)
        use = _("The model is in the Segment tab now; try it on a scan that it was not trained on.")
        return f"{finished} {use}"
    if state == STOPPED and canResume:
        return f"{_('Stopped. {where}.').format(where=progress.summary())} {resume}"
    if state == STOPPED:
        return _("Stopped before training began; nothing was kept.")
    return f"{message or run.why()} {resume}".strip()
