"""Check, Train, Stop, Resume, and the curves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.CheckReport import CheckReport
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobStrip import JobStrip
from SAMedSlicerLib.Progress import Progress
from SAMedSlicerLib.RunList import RunList
from SAMedSlicerLib.ShortJob import ShortJob
from SAMedSlicerLib.StartChoices import downloadQuestion
from SAMedSlicerLib.TrainingCurves import TrainingCurves
from SAMedSlicerLib.TrainingPlan import TrainingPlan, resumeCommand
from SAMedSlicerLib.TrainingProgress import TrainingProgress, howItEnded
from SAMedSlicerLib.TrainingRun import FINISHED, RUNNING, TrainingRun
from SAMedSlicerLib.TrainingRuns import TrainingRuns
from SAMedSlicerLib.TrainingSettingList import inPanelWords

_SHOWN_SETTING = "trainingShown"
_STOP_PATIENCE_S = 3600.0  # a step of a large model on a CPU takes minutes, and is not thrown away


class TrainingRunPanel:
    """One training at a time, which may outlive the panel.

    Args:
        ui: the widgets of TrainingTab.ui.
        parameters: remember the training that the scene's curves belong to.
        runs: the trainings of this user.
        plan: what the user wants to train; raises SAMedError with a sentence if that is not possible.
        onModelsChanged: called when a training has made a model, or one was downloaded.
    """

    def __init__(
        self,
        ui: Any,
        host: Host,
        parameters: Any,
        runs: TrainingRuns,
        plan: Callable[[], TrainingPlan],
        onModelsChanged: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._host = host
        self._parameters = parameters
        self._runs = runs
        self._plan = plan
        self._onModelsChanged = onModelsChanged
        self._progress: TrainingProgress | None = None
        self._report: CheckReport | None = None  # of what would be trained now
        self._notesRead: list[str] = []
        self._hinting = True  # the status line tells what is missing before training
        self._curves = TrainingCurves(ui.curvesSelector, host)
        self._strip = JobStrip(
            ui.trainButton,
            ui.runProgressBar,
            ui.runStatusLabel,
            host,
            self._onTrain,
            _("Stop"),
            _STOP_PATIENCE_S,
            self._describe,
        )
        self._short = ShortJob(self._strip, host, self.update)
        self._list = RunList(ui.runSelector, self._onSelected)
        ui.checkButton.connect("clicked(bool)", lambda *_: self._begin(train=False))
        ui.curvesButton.connect("clicked(bool)", lambda *_: self._onCurves())
        ui.curvesSelector.connect("activated(int)", lambda *_: self._onCurves())
        ui.checkBrowser.visible = False

    @property
    def training(self) -> TrainingRun | None:
        """The training that goes on under our eyes."""
        return self._list.selected if self._strip.busy and self._progress else None

    def restore(self) -> None:
        """Find the trainings again: one that runs is watched, the end of one that ended meanwhile is told."""
        if self._strip.busy:
            return
        runs = self._runs.all()
        self._list.show(runs)
        running = self._runs.running()
        newest = runs[0] if runs else None
        if running:
            self._watch(running)
        elif newest and self._host.setting(_SHOWN_SETTING) != str(newest.folder):
            self._list.select(newest)
            self._showEnd(newest)
        self.update()

    def forgetReport(self) -> None:
        """Data or settings have changed: what was checked is no longer what will be trained."""
        self._report = None
        self._ui.checkBrowser.visible = False
        self._hinting = self._hinting or not self._strip.busy  # what work that is going on will say is not lost
        self.update()

    def update(self) -> None:
        """Let the buttons say what is possible."""
        busy, run = self._strip.busy, self._list.selected
        self._ui.runSelector.enabled = not busy
        self._ui.checkButton.visible = run is None
        for widget in (self._ui.runFolderTitle, self._ui.runFolderEdit, self._ui.chooseRunFolderButton):
            widget.visible = run is None
            widget.enabled = not busy
        for widget in (self._ui.curvesTitle, self._ui.curvesSelector, self._ui.curvesButton):
            widget.visible = run is not None
        if busy:
            self._ui.checkButton.enabled = False
            return
        self._ui.trainButton.text = _("Resume") if run and run.state() != FINISHED else _("Train")
        reason = self._reasonNotToTrain(run)
        self._ui.trainButton.enabled = self._ui.checkButton.enabled = not reason
        tip = _("Goes on exactly where the training was saved.") if run else _("Checks the data, then trains.")
        self._ui.trainButton.toolTip = reason or tip
        self._ui.checkButton.toolTip = reason or _("Looks at data, time and memory; nothing is trained.")
        if self._hinting and run is None:
            self._strip.say(reason)

    def askBeforeQuitting(self) -> None:
        """The application closes: a training may go on without it."""
        run = self.training
        if run is None:
            return
        stop = _("Stop after saving")
        question = _("A training is going on. It can go on without Slicer, and is found again the next time.")
        answer = self._host.choose(question, [_("Leave training running"), stop])
        job = self._strip.job
        if answer == stop and job is not None:
            job.requestStop()
        self._strip.detach()

    def close(self) -> None:
        """The panel goes: a training runs on, anything else ends."""
        if self.training:
            self._strip.detach()
        else:
            self._strip.abandon()
            self._short.forget()
        self._curves.forget()

    def forgetScene(self) -> None:
        """The nodes of the curves go with the scene; the training does not."""
        self._curves.forget()

    def _reasonNotToTrain(self, run: TrainingRun | None) -> str:
        if run is not None:
            if run.state() == FINISHED:
                return _("This training is finished; choose 'New training' to start another one.")
            return "" if run.canResume else _("There is nothing to go on with; choose 'New training'.")
        try:
            self._plan()
        except (SAMedError, OSError) as error:
            return str(error)
        return ""

    def _onSelected(self, run: TrainingRun | None) -> None:
        self._parameters.runFolder = str(run.folder) if run else ""
        self._ui.checkBrowser.visible = run is None and self._report is not None
        if run is None:
            self._hinting = True
        elif run.state() == RUNNING:
            self._watch(run)
        else:
            self._showEnd(run)
        self.update()

    def _onTrain(self) -> None:
        run = self._list.selected
        running = self._runs.running()
        if running:
            self._strip.say(
                _("'{name}' is being trained already; wait until it is finished, or stop it first.").format(
                    name=running.name
                )
            )
        elif run is None:
            self._begin(train=True)
        elif self._host.ensureReady():
            self._start(run, resumeCommand(run.folder))

    def _begin(self, train: bool) -> None:
        """Download what is missing, check, and then train if that is wanted."""
        self._hinting = False
        try:
            plan = self._plan()
        except (SAMedError, OSError) as error:
            self._strip.say(str(error))
            return
        if not self._host.ensureReady():
            return
        if self._report and train:
            self._train(plan, self._report)
        elif not plan.download:
            self._check(plan, train)
        elif self._host.confirm(downloadQuestion(plan.start)):
            self._run(plan.download, lambda ok: self._onDownloaded(ok, train))

    def _onDownloaded(self, ok: bool, train: bool) -> None:
        self._onModelsChanged()
        if ok:
            self._begin(train)

    def _check(self, plan: TrainingPlan, train: bool) -> None:
        self._report = None
        self._run(plan.command(check=True), lambda ok: self._onChecked(ok, plan, train), self._onCheckEvent)

    def _onCheckEvent(self, event: dict) -> None:
        if event.get("event") == "result":
            self._report = CheckReport(event)

    def _onChecked(self, ok: bool, plan: TrainingPlan, train: bool) -> None:
        report = self._report
        if not ok or report is None:
            return
        self._ui.checkBrowser.setHtml(report.toHtml())
        self._ui.checkBrowser.visible = True
        ready = _("Checked: ready to train.")
        if report.estimate:
            ready = _("Checked: ready to train, {time}.").format(time=report.estimate)
        self._strip.say(ready)
        if train:
            self._train(plan, report)
        else:
            self._notesRead = report.notes

    def _train(self, plan: TrainingPlan, report: CheckReport) -> None:
        unread = [note for note in report.notes if note not in self._notesRead]
        if unread and not self._host.confirm("\n\n".join([*unread, _("Train with these cases and settings?")])):
            return
        self._notesRead = report.notes
        try:
            plan.output.mkdir(parents=True)
        except OSError as error:
            reason = error.strerror or str(error)
            self._strip.say(_("{folder} cannot be made: {reason}.").format(folder=plan.output, reason=reason))
            return
        run = self._runs.add(plan.output)
        self._list.show(self._runs.all(), run)
        self._start(run, plan.command())

    def _start(self, run: TrainingRun, command: list[str]) -> None:
        self._list.select(run)
        self._ui.checkBrowser.visible = False
        self._progress = TrainingProgress(run)
        self._progress.replay()
        self._curves.begin(run)
        if self._strip.run(command, run.jobFolder, True, self._onTrainingEvent, self._onTrainingEnded):
            self._parameters.runFolder = str(run.folder)
            self._list.show(self._runs.all(), run)
        self.update()

    def _watch(self, run: TrainingRun) -> None:
        job = run.job()
        if job is None:
            return
        self._list.select(run)
        self._progress = TrainingProgress(run)
        self._progress.replay()
        if self._parameters.runFolder == str(run.folder):  # the training of this scene, not of another one
            self._curves.begin(run)
        self._strip.watch(job, self._onTrainingEvent, self._onTrainingEnded)

    def _run(self, command: list[str], then: Callable[[bool], None], onEvent: Callable | None = None) -> None:
        """A job that ends with the panel."""
        self._progress = None
        self._short.run(command, then, onEvent)
        self.update()

    def _describe(self, progress: Progress) -> str:
        return self._progress.describe(progress) if self._progress else progress.text

    def _onTrainingEvent(self, event: dict) -> None:
        if self._progress and self._progress.note(event) and self._list.selected:
            self._curves.follow(self._list.selected)

    def _onTrainingEnded(self, job: Job, ok: bool, message: str) -> None:
        run, self._progress = self._list.selected, None
        if run is None:
            return
        self._showEnd(run, message, self._strip.details)
        self._curves.finish(run)
        self._list.show(self._runs.all(), run)
        self.update()
        if run.state() == FINISHED:
            self._onModelsChanged()

    def _showEnd(self, run: TrainingRun, message: str = "", details: str = "") -> None:
        """How a training ended that runs no more."""
        self._host.setSetting(_SHOWN_SETTING, str(run.folder))
        self._strip.say(inPanelWords(howItEnded(run, message)), details)
        if not run.began:
            self._runs.discard(run)

    def _onCurves(self) -> None:
        run = self._list.selected
        remark = self._curves.show(run) if run else ""
        if remark and not self._strip.busy:
            self._strip.say(remark)
