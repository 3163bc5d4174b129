"""The Evaluate tab: a prediction against a reference, in numbers, and where to look."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.CaseScores import CaseScores
from SAMedSlicerLib.EvaluatedCases import EvaluatedCases
from SAMedSlicerLib.EvaluationFolders import EvaluationFolders
from SAMedSlicerLib.EvaluationRequest import EvaluationRequest
from SAMedSlicerLib.EvaluationResult import EvaluationResult
from SAMedSlicerLib.EvaluationTable import writeTable
from SAMedSlicerLib.EvaluationView import EvaluationView
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobStrip import JobStrip
from SAMedSlicerLib.OrganScore import OrganScore
from SAMedSlicerLib.PanelWords import inPanelWords
from SAMedSlicerLib.SceneEvaluation import SceneEvaluation
from SAMedSlicerLib.ScenePicker import ScenePicker
from SAMedSlicerLib.WorstSlice import WorstSlice

if TYPE_CHECKING:
    from SAMedSlicerLib.ModelCatalog import ModelCatalog

_SCENE = 0  # of kindSelector
_PROTOCOLS = ("mm", "paper")


class EvaluateTab:
    """Connects the widgets, the parameters of the scene, and the run.

    Args:
        ui: the widgets of EvaluateTab.ui by name.
        parameters: see SAMedSlicerParameterNode.
        catalog: the models; evaluation needs none.
    """

    def __init__(self, ui: Any, host: Host, parameters: Any, catalog: Callable[[], ModelCatalog]) -> None:
        self._ui = ui
        self._host = host
        self._parameters = parameters
        self._folder: Path | None = None  # of the run or the result that is shown
        self._run: SceneEvaluation | None = None
        self._request: EvaluationRequest | None = None
        self._title = ""
        self._look: WorstSlice | None = None
        self._tableId = ""
        self._loading = True
        self._hinting = True  # the status line says what to choose, not how the last run ended
        ui.kindSelector.addItems([_("Two segmentations in the scene"), _("Folders of cases")])
        ui.protocolSelector.addItems([_("Millimetres (clinical)"), _("As in the SAMed paper (voxels)")])
        self._strip = JobStrip(ui.evaluateButton, ui.progressBar, ui.statusLabel, host, self._onEvaluate)
        self._picker = ScenePicker(ui, parameters, self._onChoice)
        self._folders = EvaluationFolders(ui, host, self._onChoice)
        self._view = EvaluationView(ui, self._onCase, self._onOrgan)
        ui.kindSelector.connect("currentIndexChanged(int)", lambda *_ignored: self._onChoice())
        ui.protocolSelector.connect("currentIndexChanged(int)", lambda *_ignored: self._onProtocol())
        ui.showTableButton.connect("clicked(bool)", lambda *_ignored: self._onShowTable())
        ui.saveCsvButton.connect("clicked(bool)", lambda *_ignored: self._onSave("csv", _("Table (*.csv)")))
        ui.saveHtmlButton.connect("clicked(bool)", lambda *_ignored: self._onSave("html", _("Report (*.html)")))
        scene, event = host.scene, slicer.vtkMRMLScene.NodeRemovedEvent
        self._observed: tuple[Any, int] | None = (scene, scene.AddObserver(event, self._onNodeRemoved))
        self._loading = False
        self.refresh()

    def enter(self) -> None:
        self.refresh()

    def exit(self) -> None:
        """A run goes on while another module is shown."""

    def cleanup(self) -> None:
        """The module is reloaded or the application quits: nothing may go on, and no signal may come back."""
        self._loading = True
        if self._observed:
            scene, tag = self._observed
            scene.RemoveObserver(tag)
            self._observed = None
        self._strip.abandon()
        self._discard()

    def sceneStartClose(self) -> None:
        self._loading = True
        busy = self._strip.busy
        self._strip.abandon()
        self._discard()
        self._hinting = not busy
        if busy:
            self._strip.say(_("The scene was closed, so the evaluation was cancelled."))

    def sceneEndClose(self) -> None:
        self._loading = False
        self.refresh()

    def refresh(self) -> None:
        """Show the parameters of the scene."""
        if self._loading:
            return
        self._loading = True
        protocol = self._parameters.evaluationProtocol
        self._ui.protocolSelector.currentIndex = _PROTOCOLS.index(protocol) if protocol in _PROTOCOLS else 0
        self._picker.restore()
        self._loading = False
        self._update()

    def _update(self) -> None:
        """What is visible, and whether the button can be pressed; if not, why."""
        if self._loading:
            return
        ui = self._ui
        inScene = ui.kindSelector.currentIndex == _SCENE
        ui.scenePage.visible, ui.folderPage.visible = inScene, not inScene
        ui.protocolExplanationLabel.text = _explanation(ui.protocolSelector.currentIndex)
        if self._strip.busy:
            return
        reason = self._missing()
        ui.evaluateButton.enabled = not reason
        ui.evaluateButton.toolTip = reason or _("Compares in the background; you can go on working meanwhile.")
        if self._hinting:
            self._strip.say(reason)

    def _onChoice(self) -> None:
        if not self._strip.busy and not self._loading:
            self._hinting = True
        self._update()

    def _missing(self) -> str:
        return (self._picker if self._ui.kindSelector.currentIndex == _SCENE else self._folders).missing()

    def _onProtocol(self) -> None:
        if not self._loading:
            self._parameters.evaluationProtocol = _PROTOCOLS[self._ui.protocolSelector.currentIndex]
            self._onChoice()

    def _onEvaluate(self) -> None:
        self._picker.refresh()
        reason = self._missing()
        if reason or self._strip.busy:
            return self._strip.say(reason)
        if not self._host.ensureReady():
            return None
        self._discard()
        self._hinting = False
        self._folder = self._host.temporaryFolder()
        protocol = _PROTOCOLS[self._ui.protocolSelector.currentIndex]
        if self._ui.kindSelector.currentIndex == _SCENE:
            self._run = self._picker.evaluation(protocol, self._folder)
            self._request, self._title = self._run.request, self._run.title
            return self._strip.work(self._run.export(), self._onExported, (SAMedError, OSError))
        self._request, self._title = self._folders.request(protocol, self._folder), self._folders.title
        return self._start()

    def _onExported(self, ok: bool, message: str) -> None:
        if ok:
            self._start()
        else:
            self._fail(message)

    def _start(self) -> None:
        assert self._request
        assert self._folder
        self._strip.run(self._request.command(), self._folder / "job", onFinished=self._onJobFinished)

    def _onJobFinished(self, job: Job, ok: bool, message: str) -> None:
        lost = self._run.missing() if self._run else ""
        if lost:
            return self._fail(lost)
        if not ok:
            return self._fail(self._forPeople(message), self._strip.details)
        try:
            result = EvaluationResult.read(self._request.report("json"))
        except (OSError, ValueError, KeyError, TypeError):
            return self._fail(_("The result could not be read; please evaluate again."))
        return self._deliver(result)

    def _deliver(self, result: EvaluationResult) -> None:
        table = writeTable(self._host.scene, result, self._title, self._run.prediction if self._run else None)
        self._tableId = table.GetID()
        loaded = self._run or EvaluatedCases(self._host.scene, result.labelSet)
        self._look = WorstSlice(self._host, loaded.nodesOf)
        self._view.show(result, self._title, self._run.notes if self._run else ())
        count = len(result.cases)
        done = _("1 case evaluated.") if count == 1 else _("{count} cases evaluated.").format(count=count)
        self._strip.say(" ".join([done, *(text for text in result.statements if "files left out" in text)]))
        self._update()

    def _fail(self, message: str, details: str = "") -> None:
        self._strip.say(message, details)
        folder, self._folder = self._folder, None
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
        self._run = self._request = None
        reason = self._missing()
        self._ui.evaluateButton.enabled = not reason

    def _discard(self) -> None:
        """Forget the result; patient data does not linger."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = self._run = self._request = self._look = None
        self._tableId = ""
        self._view.clear()

    def _forPeople(self, text: str) -> str:
        """Names of nodes in place of temporary files, and of widgets in place of options."""
        if self._run and self._request:
            for path, node in (
                (self._request.predictions, self._run.prediction),
                (self._request.references, self._run.reference),
            ):
                text = text.replace(str(path), f"'{node.GetName()}'" if node else path.name)
        return inPanelWords(text)

    def _onNodeRemoved(self, caller: Any, event: Any) -> None:
        if self._loading or caller.IsBatchProcessing():
            return
        if self._strip.busy and self._run and self._run.missing() and not self._strip.cancelling:
            self._strip.cancel()
        elif not self._strip.busy:
            self._update()

    def _onCase(self, case: CaseScores) -> None:
        """Load it, and look at the organ that is worst."""
        self._view.showCase(case, case.name)
        if case.worst:
            self._onOrgan(case, case.worst)

    def _onOrgan(self, case: CaseScores, organ: OrganScore) -> None:
        said = self._look.show(case, organ) if self._look else ""
        if not self._strip.busy:
            self._strip.say(said)

    def _onShowTable(self) -> None:
        table = self._host.scene.GetNodeByID(self._tableId) if self._tableId else None
        if table is None:
            self._strip.say(_("The table was deleted; evaluate again to get a new one."))
        else:
            self._host.showTable(table)

    def _onSave(self, kind: str, fileTypes: str) -> None:
        if self._request is None:
            return
        name = f"{_('evaluation')}.{kind}"
        target = self._host.saveFile(_("Save the evaluation"), name, fileTypes)
        if not target:
            return
        path = Path(target) if Path(target).suffix else Path(target).with_suffix(f".{kind}")
        try:
            shutil.copyfile(self._request.report(kind), path)
        except OSError as error:
            reason = error.strerror or str(error)
            self._host.showError(
                _("{path} could not be written ({reason}); choose another place.").format(path=path, reason=reason)
            )
            return
        self._strip.say(_("Saved as {path}.").format(path=path))


def _explanation(protocol: int) -> str:
    if protocol == 0:
        return _(
            "Distances in mm. Organs that the reference lacks are not scored; an organ that the prediction misses has "
            "Dice 0 and no distance."
        )
    return _(
        "Only to compare with the numbers in the paper: distances in voxels, and Dice 1 for an organ that is only in "
        "the prediction, as its script does."
    )
