"""The button, progress bar and status line of one kind of work."""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job, JobError
from SAMedSlicerLib.JobMonitor import JobMonitor
from SAMedSlicerLib.PanelWords import inPanelWords
from SAMedSlicerLib.Progress import Progress
from SAMedSlicerLib.Steps import Steps

# lines of a child's messages that "Details" shows; a message box cannot scroll
_DETAIL_LINES = 40
_BAR = 1000
_PATIENCE_S = 10
_DOUBLE_CLICK_S = 0.4


class JobStrip:
    """Runs one job at a time: the button becomes Cancel, the bar and the line below it tell how far it is.

    Whatever happens, a job that was run ends with exactly one call of its `onFinished(job, ok, message)`: `message` is
    empty if it went well, else a sentence that the status line already shows. Only `detach` and `abandon` let go of a
    job without that call.

    Args:
        button: starts the work; its text, tool tip and state are this class's only while a job runs.
        progressBar, statusLabel: the label also carries the "Details" link of a job that failed. Its format is rich
            text, else text without a link would show its escapes, such as &amp;.
        onStart: called on a click of the button when nothing runs. A click during a job always cancels it.
        cancelText: what the button is called meanwhile.
        patience_s: how long after a cancel a job may go on before it is ended by force. Where that is long, the button
            then ends it at once, after a question.
        describe: says how far the job is; Progress.text where there is none.
    """

    def __init__(
        self,
        button: Any,
        progressBar: Any,
        statusLabel: Any,
        host: Host,
        onStart: Callable[[], None] | None = None,
        cancelText: str = "",
        patience_s: float = _PATIENCE_S,
        describe: Callable[[Progress], str] | None = None,
    ) -> None:
        self._button = button
        self._progressBar = progressBar
        self._statusLabel = statusLabel
        self._host = host
        self._onStart = onStart
        self._cancelText = cancelText or _("Cancel")
        self._patience_s = patience_s
        self._describe = describe or (lambda progress: progress.text)
        self._idle: tuple[str, str] = ("", "")
        self._monitor: JobMonitor | None = None
        self._steps: Steps | None = None
        self._job: Job | None = None
        self._names: Mapping[str, str] = {}
        self._cancelling = False
        self._details = ""
        self._clicked = -_DOUBLE_CLICK_S
        self._onEvent: Callable[[dict], None] | None = None
        self._onFinished: Callable[..., None] | None = None
        progressBar.visible = False
        button.connect("clicked(bool)", self._onClicked)
        statusLabel.connect("linkActivated(QString)", self._onDetails)

    @property
    def busy(self) -> bool:
        return self._monitor is not None or self._steps is not None

    @property
    def job(self) -> Job | None:
        """The job that runs."""
        return self._job

    @property
    def details(self) -> str:
        """What is behind the link beside the sentence."""
        return self._details

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
        names: Mapping[str, str] | None = None,
    ) -> bool:
        """Start `samed COMMAND` as a job in `folder`, which is for the job's files only.

        Args:
            names: what the scans that the job names are called for the user.

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
        self.watch(job, onEvent, onFinished, names)
        return True

    def watch(
        self,
        job: Job,
        onEvent: Callable[[dict], None] | None = None,
        onFinished: Callable[[Job, bool, str], None] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Show a job that runs already, such as one found again after a restart."""
        self._job = job
        self._onEvent, self._onFinished = onEvent, onFinished
        self._names = names or {}
        self._begin(_("Starting ..."))
        self._monitor = JobMonitor(self._host.timer(), self._onJobEvent, self._onJobFinished)
        self._monitor.watch(job)

    def work(
        self,
        steps: Iterator[str],
        onFinished: Callable[[bool, str], None],
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        """Do short pieces of work here, in this process, with the same button and line; see Steps.

        onFinished(ok, message) follows once, also after Cancel, which takes effect between two pieces.
        """
        self._onFinished = onFinished
        self._begin("")
        self._steps = Steps(self._host.timer(), steps, self.say, self._onStepsFinished, expected)
        self._steps.start()

    def cancel(self) -> None:
        """Ask the job to stop; it is ended by force if it does not listen."""
        if self._cancelling or not self.busy:
            return
        if self._steps is not None:
            self._steps.stop()
            self._onStepsFinished(_("Cancelled."))
            return
        self._cancelling = True
        self._progressBar.setRange(0, 0)
        if self._patience_s > _PATIENCE_S:
            self._button.text = _("End now")
            self._button.toolTip = _("Ends the work without waiting for it to save.")
            self.say(_("Stopping after the current step, then saving ..."))
        else:
            self._button.enabled = False
            self._button.toolTip = _("The work ends after the current step, at the latest in 10 seconds.")
            self.say(_("Cancelling ..."))
        self._monitor.cancel(self._patience_s)

    def detach(self) -> None:
        """Stop watching and let the job run on."""
        if self._monitor is not None:
            self._monitor.detach()
            self._restore()

    def abandon(self) -> None:
        """End the job at once and tell nobody: the scene, the module or the application is going away.

        A detached job runs on.
        """
        monitor, steps = self._monitor, self._steps
        if self.busy:
            self._restore()
            self.say("")
        if steps is not None:
            steps.stop()
        if monitor is not None:
            monitor.close()

    def say(self, text: str, details: str = "") -> None:
        """Show a sentence; `details` are behind a link."""
        self._details = details
        shown = html.escape(text, quote=False).replace("\n", "<br>")
        if details:
            shown += f' <a href="details">{_("Details")}</a>'
        self._statusLabel.text = shown

    def sayNoPlace(self, error: OSError) -> None:
        """There is no place for temporary files."""
        self.say(
            _(
                "The work could not start ({reason}); free some disk space, or choose another temporary directory in "
                "Slicer's application settings."
            ).format(reason=error.strerror or error)
        )

    def _onClicked(self, checked: bool = False) -> None:
        if self.busy and time.monotonic() - self._clicked < _DOUBLE_CLICK_S:
            return  # the second half of a double click must not cancel what the first one started
        if self._cancelling:
            self._endNow()
        elif self.busy:
            self.cancel()
        elif self._onStart:
            self._clicked = time.monotonic()
            try:
                self._onStart()
            except OSError as error:
                self.sayNoPlace(error)

    def _endNow(self) -> None:
        job = self._job
        question = _("What was done since the last save is lost. End the work now?")
        if job is not None and self._host.confirm(question) and job is self._job:
            job.terminate(force=True)

    def _onDetails(self, link: str) -> None:
        if self._details:
            self._host.showInfo(self._details)

    def _onJobEvent(self, event: dict) -> None:
        if self._onEvent:
            self._onEvent(event)
        progress = self._monitor.progress if self._monitor else None
        if event.get("event") != "progress" or progress is None or self._cancelling:
            return
        # without anything to count, a bar without end says that it goes on
        self._progressBar.setRange(0, 0 if progress.fraction is None else _BAR)
        self._progressBar.value = int(_BAR * (progress.fraction or 0))
        named = replace(progress, scanName=self._names.get(progress.scanName, progress.scanName))
        self.say(self._describe(named))

    def _onJobFinished(self, job: Job) -> None:
        # whoever pressed Cancel wants no result, also if it was there just before
        cancelled = self._cancelling or job.cancelled
        ok = job.succeeded and not cancelled
        details = "" if ok or cancelled else _messages(job)
        message = "" if ok else _("Cancelled.") if cancelled else _failure(job)
        # one sentence has no more to tell than that sentence
        self._end(message, details if details.strip() != message.strip() else "", job, ok, message)

    def _onStepsFinished(self, message: str) -> None:
        self._end(message, "", not message, message)

    def _begin(self, text: str) -> None:
        self._idle = (self._button.text, self._button.toolTip)
        self._cancelling = False
        self._button.text = self._cancelText
        self._button.toolTip = ""
        self._button.enabled = True
        self._progressBar.setRange(0, 0)
        self._progressBar.visible = True
        self.say(text)

    def _end(self, text: str, details: str, *outcome: Any) -> None:
        onFinished = self._onFinished
        self._restore()
        self.say(text, details)
        if onFinished:
            onFinished(*outcome)

    def _restore(self) -> None:
        """Back to a button that starts."""
        self._monitor = self._steps = self._job = self._onEvent = self._onFinished = None
        self._cancelling = False
        self._progressBar.visible = False
        self._button.text, self._button.toolTip = self._idle
        self._button.enabled = True


def _messages(job: Job) -> str:
    """The end of what the child wrote for people."""
    try:
        text = (job.folder / "messages.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return inPanelWords("\n".join(text.splitlines()[-_DETAIL_LINES:]))


def _failure(job: Job) -> str:
    """The job's last words, without the file that "Details" shows and that may be gone by then."""
    where = _("The full text is in {path}.").format(path=job.folder / "messages.txt")
    said = inPanelWords(job.lastWords().replace(where, "")).strip()
    return said or _("The work ended unexpectedly; please try again.")
