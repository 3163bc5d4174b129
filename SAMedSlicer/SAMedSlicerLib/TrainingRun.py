"""One training: its folder, its job, and how it stands."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.organs import LabelSet
from SAMedLib.training.run_folder import RunFolder
from SAMedSlicerLib.Job import Job

RUNNING, FINISHED, STOPPED, FAILED, UNKNOWN, GONE = "running", "finished", "stopped", "failed", "unknown", "gone"


class TrainingRun:
    """A run folder as `samed train` writes it, with the job that writes it in a folder below.

    What is asked for is read from the files each time: the training is another process, perhaps of another Slicer.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.jobFolder = self.folder / "job"
        self._files = RunFolder(self.folder)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrainingRun) and other.folder == self.folder

    def __hash__(self) -> int:
        return hash(self.folder)

    @property
    def name(self) -> str:
        return self.folder.name

    def job(self) -> Job | None:
        return Job.find(self.jobFolder)

    def state(self) -> str:
        """RUNNING; FINISHED; STOPPED on request; FAILED: ended otherwise; UNKNOWN: never got anywhere; GONE."""
        if not self.folder.is_dir():
            return GONE
        job = self.job()
        if job and job.running:
            return RUNNING
        if (job and job.succeeded) or self._reachedEnd():
            return FINISHED
        if job and job.cancelled:
            return STOPPED
        return FAILED if job or self._files.holds_a_run else UNKNOWN

    @property
    def began(self) -> bool:
        """Whether it got so far that there is something to look at."""
        return self._files.holds_a_run

    @property
    def canResume(self) -> bool:
        """Whether there is something to go on with."""
        return self._files.holds_a_run and self._files.state_file.is_file() and self.state() in (STOPPED, FAILED)

    def why(self) -> str:
        """A sentence about the end of a training that did not finish."""
        job = self.job()
        return job.lastWords() if job else _("The training did not reach its end.")

    def events(self) -> list[dict[str, Any]]:
        """The measurements so far."""
        try:
            return self._files.events()
        except OSError:
            return []

    def timetable(self) -> tuple[int, int] | None:
        """(all steps, steps of an epoch), None as long as they are not known."""
        try:
            times = self._files.read_config()["timetable"]
            return int(times["total_steps"]), max(1, int(times["steps_per_epoch"]))
        except (SAMedError, OSError, KeyError, TypeError, ValueError):
            return None

    def labelSet(self) -> LabelSet | None:
        """What it learns, None as long as that is not known."""
        try:
            return LabelSet.from_json(self._files.read_config()["model"]["label_set"])
        except (SAMedError, OSError, KeyError, TypeError):
            return None

    def title(self) -> str:
        """For a list of trainings."""
        states = {
            RUNNING: _("running"),
            FINISHED: _("finished"),
            STOPPED: _("stopped"),
            FAILED: _("not finished"),
            UNKNOWN: _("not started"),
            GONE: _("folder not found"),
        }
        return f"{self.name} ({states[self.state()]})"

    def _reachedEnd(self) -> bool:
        times = self.timetable()
        events = self.events() if times else []
        return bool(events) and times is not None and int(events[-1].get("step", 0)) >= times[0]


def epochsOf(timetable: tuple[int, int]) -> int:
    steps, stepsPerEpoch = timetable
    return math.ceil(steps / stepsPerEpoch)
