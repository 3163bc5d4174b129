"""The button, progress bar and status line of one kind of work."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job, JobError
from SAMedSlicerLib.JobMonitor import JobMonitor

# lines of a child's messages that "Details" shows; a message box cannot scroll
_DETAIL_LINES = 40
_CANCELLED = 130


class JobStrip:
    """Runs one job at a time: the button becomes Cancel, the bar and the line below it tell how far it is.

    Whatever happens, a job that was run ends with exactly one call of its `onFinished(job, ok, message)`: `message` is
    empty if it went well, else a sentence that the status line already shows. Only `detach` and `abandon` let go of a
    job without that call.

    Args:
        button: starts the work; its text, tool tip and state are this class's only while a job runs.
        progressBar, statusLabel: the label also carries the "Details" link of a job that failed.
        onStart: called on a click of the button when nothing runs. A click during a job always cancels it.
        cancelText: what the button is called meanwhile.
    """

    def __init__(
        self,
        button: Any,
        progressBar: Any,
        statusLabel: Any,
        host: Host,
        onStart: Callable[[], None] | None = None,
        cancelText: str = "",
    ) -> None:
        self._button = button
        self._progressBar = progressBar
        self._statusLabel = statusLabel
        self._host = host
        self._onStart = onStart
        self._cancelText = cancelText or _("Cancel")
        self._idle: tuple[str, str] | None = None
        self._monitor: JobMonitor | None = None
        self._job: Job | None = None
        self._folder: Path | None = None
        self._cancelling = False
        self._prefix = ""
        self._details = ""
        self._onEvent: Callable[[dict], None] | None = None
        self._onFinished: Callable[[Job, bool, str], None] | None = None
        progressBar.visible = False
        button.connect("clicked(bool)", self._onClicked)
        statusLabel.connect("linkActivated(QString)", self._onDetails)

    @property
    def busy(self) -> bool:
        return self._monitor is not None

    @property
    def job(self) -> Job | None:
        """The job that runs."""
        return self._job

    @property
    def cancelling(self) -> bool:
        """Whether the running job was asked to stop."""
        return self._cancelling

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        detached: bool = False,
        onEvent: Callable[[dict], None] | None = None,
        onFinished: Callable[[Job, bool, str], None] | None = None,
    ) -> bool:
        """Start `samed COMMAND` as a job in `folder`.

        Returns:
            whether it runs now. If it cannot be started, or another one runs, the reason is in the status line; in
            the first case onFinished was called.
        """
        if self.busy:
            return False
        job = Job(folder, command, self._host.python(), detached=detached)
        try:
            job.start()
        except JobError as error:
            self.say(str(error))
            if onFinished:
                onFinished(job, False, str(error))
            return False
        self.watch(job, folder, onEvent, onFinished)
        return True

    def watch(
        self,
        job: Job,
        folder: Path,
        onEvent: Callable[[dict], None] | None = None,
        onFinished: Callable[[Job, bool, str], None] | None = None,
    ) -> None:
        """Show a job that runs already, such as one found again after a restart."""
        self._job, self._folder = job, Path(folder)
        self._onEvent, self._onFinished = onEvent, onFinished
        self._idle = (self._button.text, self._button.toolTip)
        self._button.text = self._cancelText
        self._button.toolTip = ""
        self._button.enabled = True
        self._progressBar.setRange(0, 0)
        self._progressBar.visible = True
        self.say(_("Starting ..."))
        self._monitor = JobMonitor(self._host.timer(), self._onJobEvent, self._onJobFinished)
        self._monitor.watch(job)

    def cancel(self) -> None:
        """Ask the job to stop; it is ended by force if it does not listen."""
        if self._monitor is None or self._cancelling:
            return
        self._cancelling = True
        self._button.enabled = False
        self._button.toolTip = _("The work ends after the current step, at the latest in 10 seconds.")
        self._progressBar.setRange(0, 0)
        self.say(_("Cancelling ..."))
        self._monitor.cancel()

    def detach(self) -> None:
        """Stop watching and let the job run on."""
        if self._monitor is not None:
            self._monitor.detach()
            self._restore()

    def abandon(self) -> None:
        """End the job at once and tell nobody: the scene, the module or the application is going away."""
        if self._monitor is not None and self._job is not None:
            job = self._job
            self._monitor.detach()
            self._restore()
            job.kill()

    def setPrefix(self, text: str) -> None:
        """What stands before the progress, such as which volume of several it is."""
        self._prefix = text

    def say(self, text: str, details: str = "") -> None:
        """Show a sentence; `details` are behind a link."""
        self._details = details
        shown = html.escape(text, quote=False).replace("\n", "<br>")
        if details:
            shown += f' <a href="details">{_("Details")}</a>'
        self._statusLabel.text = shown

    def _onClicked(self, checked: bool = False) -> None:
        if self.busy:
            self.cancel()
        elif self._onStart:
            self._onStart()

    def _onDetails(self, link: str) -> None:
        if self._details:
            self._host.showInfo(self._details)

    def _onJobEvent(self, event: dict) -> None:
        if self._onEvent:
            self._onEvent(event)
        progress = self._monitor.progress if self._monitor else None
        if event.get("event") != "progress" or progress is None or self._cancelling:
            return
        # a stage of one step would jump from empty to full; a bar without end says that it goes on
        self._progressBar.setRange(0, progress.total if progress.total > 1 else 0)
        self._progressBar.value = progress.done
        self.say(f"{self._prefix}{progress.text}")

    def _onJobFinished(self, job: Job) -> None:
        # whoever pressed Cancel wants no result, also if it was there just before
        cancelled = self._cancelling or job.returnCode == _CANCELLED
        ok = job.returnCode == 0 and not cancelled
        message = "" if ok else _("Cancelled.") if cancelled else job.lastWords()
        details = "" if ok or cancelled else self._messages()
        onFinished = self._onFinished
        self._restore()
        # a job that failed with one sentence has no more to tell than that sentence
        self.say(message, details if details.strip() != message.strip() else "")
        if onFinished:
            onFinished(job, ok, message)

    def _messages(self) -> str:
        """The end of what the child wrote for people."""
        try:
            text = (self._folder / "messages.txt").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-_DETAIL_LINES:])

    def _restore(self) -> None:
        """Back to a button that starts."""
        self._monitor = self._job = self._folder = self._onEvent = self._onFinished = None
        self._cancelling = False
        self._prefix = ""
        self._progressBar.visible = False
        if self._idle:
            self._button.text, self._button.toolTip = self._idle
        self._button.enabled = True
