"""A job that ends with the panel, and of which nothing is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobStrip import JobStrip
from SAMedSlicerLib.TrainingSettingList import inPanelWords


class ShortJob:
    """Runs commands such as a check on a strip that also shows other work.

    Args:
        onEnded: called after each of them, whatever follows it.
    """

    def __init__(self, strip: JobStrip, host: Host, onEnded: Callable[[], None]) -> None:
        self._strip = strip
        self._host = host
        self._onEnded = onEnded
        self._folder: Path | None = None

    def run(
        self, command: Sequence[str], then: Callable[[bool], None], onEvent: Callable[[dict], None] | None = None
    ) -> None:
        """Start a command; `then` is told whether it went well."""
        try:
            self._folder = self._host.temporaryFolder()
        except OSError as error:
            self._strip.sayNoPlace(error)
            return

        def onFinished(job: Job, ok: bool, message: str) -> None:
            self.forget()
            self._strip.say(inPanelWords(message), self._strip.details)
            then(ok)
            self._onEnded()

        self._strip.run(command, self._folder / "job", onEvent=onEvent, onFinished=onFinished)

    def forget(self) -> None:
        """Remove the files of the job that ended."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None
