"""The Training tab: cases, start and settings, training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.AddCasePanel import AddCasePanel
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.RunFolderPanel import RunFolderPanel
from SAMedSlicerLib.TrainingCasesPanel import TrainingCasesPanel
from SAMedSlicerLib.TrainingPlan import TrainingPlan
from SAMedSlicerLib.TrainingRunPanel import TrainingRunPanel
from SAMedSlicerLib.TrainingRuns import TrainingRuns
from SAMedSlicerLib.TrainingSet import TrainingSet
from SAMedSlicerLib.TrainingSettingsPanel import TrainingSettingsPanel

if TYPE_CHECKING:
    from SAMedSlicerLib.ModelCatalog import ModelCatalog


class TrainingTab:
    """Puts the three groups of the tab together.

    Args:
        ui: the named widgets of TrainingTab.ui.
        parameters: the parameter node of the scene.
        catalog: what models there are now.
        onModelsChanged: called when there is another model to segment with.
    """

    def __init__(
        self,
        ui: Any,
        host: Host,
        parameters: Any,
        catalog: Callable[[], ModelCatalog],
        onModelsChanged: Callable[[], None],
    ) -> None:
        self._onOthersChanged = onModelsChanged
        self._runs = TrainingRuns(host)
        self._ready = False
        self._shown: TrainingSet | None = None
        self._cases = TrainingCasesPanel(ui, host, parameters, self._onCasesChanged)
        self._adding = AddCasePanel(
            ui,
            host,
            parameters,
            self._cases.currentSet,
            lambda busy: self._cases.setEnabled(not busy),
            self._cases.refresh,
        )
        self._settings = TrainingSettingsPanel(ui, host, catalog, self._onSettingsChanged)
        self._place = RunFolderPanel(ui, host, self._onSettingsChanged)
        self._training = TrainingRunPanel(ui, host, parameters, self._runs, self._plan, self._onModelsChanged)
        self._ready = True
        self.enter()

    def runFolders(self) -> list[Path]:
        """Where trainings of this user lie, the newest first."""
        return [run.folder for run in self._runs.all()]

    def enter(self) -> None:
        """The user comes here: folders, models and trainings may have changed meanwhile."""
        self._settings.refreshModels()
        self._cases.restore()
        self._adding.restore()
        self._training.restore()

    def exit(self) -> None:
        """Nothing has to wait for the user to come back."""

    def sceneStartClose(self) -> None:
        self._adding.close()
        self._training.forgetScene()

    def sceneEndClose(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Show the parameters of the scene."""
        self._cases.restore()
        self._adding.restore()

    def askBeforeQuitting(self) -> None:
        """The application is about to close."""
        self._training.askBeforeQuitting()

    def cleanup(self) -> None:
        """The panel goes, with the application or because the module is reloaded; a training runs on."""
        self._adding.close()
        self._cases.close()
        self._training.close()

    def _plan(self) -> TrainingPlan:
        trainingSet = self._cases.trainingSet or self._cases.currentSet()
        if not trainingSet.cases:
            raise SAMedError(_("Add a case to the training set first."))
        start = self._settings.start
        if start is None:
            raise SAMedError(_("There is no model to start from; install the SAMed extension again."))
        if start.missing:
            raise SAMedError(start.missing)
        output = self._place.newFolder(trainingSet.folder)
        return TrainingPlan(trainingSet.folder, output, start, tuple(self._settings.arguments()))

    def _onCasesChanged(self) -> None:
        if not self._ready:
            return
        trainingSet = self._cases.trainingSet
        labels, cases = (tuple(trainingSet.values), len(trainingSet.cases)) if trainingSet else ((), 0)
        self._settings.showFor(labels, cases)
        self._place.showFor(trainingSet.folder if trainingSet else None)
        self._adding.refresh()
        if trainingSet != self._shown:
            self._shown = trainingSet
            self._training.forgetReport()

    def _onSettingsChanged(self) -> None:
        if self._ready:
            self._training.forgetReport()

    def _onModelsChanged(self) -> None:
        self._settings.refreshModels()
        self._onOthersChanged()
