"""The Segment tab: choose, press the button, get organs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SAMedSlicerLib.DevicePicker import DevicePicker
from SAMedSlicerLib.FolderRun import FolderRun
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.InputPicker import FOLDER, SEQUENCE, InputPicker
from SAMedSlicerLib.JobStrip import JobStrip
from SAMedSlicerLib.ModelPicker import ModelPicker
from SAMedSlicerLib.OrganList import OrganList
from SAMedSlicerLib.ResultView import ResultView
from SAMedSlicerLib.SceneRun import SceneRun
from SAMedSlicerLib.SegmentFlow import SegmentFlow
from SAMedSlicerLib.SegmentRequest import SegmentRequest
from SAMedSlicerLib.SequenceFrames import SequenceFrames
from SAMedSlicerLib.VolumeCase import VolumeCase
from SAMedSlicerLib.VolumeTable import writeVolumeTable

if TYPE_CHECKING:
    from SAMedLib.organs import LabelSet
    from SAMedSlicerLib.ModelCatalog import ModelCatalog
    from SAMedSlicerLib.ModelChoice import ModelChoice

_AUGMENTED_EFFORT = 3.0  # the slice and two rotated copies


class SegmentTab:
    """Connects the widgets, the parameters of the scene, and the run.

    Args:
        ui: the widgets of SegmentTab.ui by name.
        parameters: see SAMedSlicerParameterNode.
        catalog: looks for models anew.
    """

    def __init__(self, ui: Any, host: Host, parameters: Any, catalog: Callable[[], ModelCatalog]) -> None:
        self._ui = ui
        self._host = host
        self._parameters = parameters
        self._loading = True
        self._hinting = True
        self._options = {
            "keepLargest": ui.keepLargestCheckBox,
            "testTimeAugmentation": ui.augmentationCheckBox,
            "show3D": ui.show3DCheckBox,
        }
        self._strip = JobStrip(ui.segmentButton, ui.progressBar, ui.statusLabel, host, self._onSegment)
        self._flow = SegmentFlow(self._strip, host, self._onFinished)
        self._input = InputPicker(ui, host, self._onInput)
        self._organs = OrganList(ui.organList, ui.allOrgansButton, ui.noOrgansButton, self._onOrgans)
        self._devices = DevicePicker(ui, host, self._onDevice)
        self._models = ModelPicker(ui, host, catalog, self._onModel)
        self._result = ResultView(ui, host)
        ui.rerunSelector.addItems([_("Replace the earlier result"), _("Add to what is there")])
        ui.rerunSelector.connect("currentIndexChanged(int)", self._onOption)
        for box in self._options.values():
            box.connect("toggled(bool)", self._onOption)
        self._observed: list[tuple[Any, int]] = []
        self._loading = False
        self.refreshModels()
        self._observeScene()  # last: what raises before leaves nothing behind that would be called

    def enter(self) -> None:
        self.refreshModels()

    def exit(self) -> None:
        """A run goes on while another module is shown."""

    def cleanup(self) -> None:
        """The module is reloaded or the application quits: nothing may go on, and no signal may come back."""
        self._loading = True
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        self._flow.abandon()
        self._models.abandon()
        self._devices.abandon()

    def sceneStartClose(self) -> None:
        self._loading = True
        busy = self._flow.busy
        self._flow.abandon()
        self._result.clear()
        self._hinting = not busy
        if busy:
            self._strip.say(_("The scene was closed, so the segmentation was cancelled."))

    def sceneEndClose(self) -> None:
        self._loading = False
        self.refresh()

    def refreshModels(self) -> None:
        """Look for models again, for example after a training."""
        self._models.refresh(self._parameters.model or "")
        self.refresh()

    def refresh(self) -> None:
        """Show the parameters of the scene."""
        if self._parameters.model is None:  # there is no scene
            return
        self._loading = True
        ui, parameters = self._ui, self._parameters
        ui.inputVolumeSelector.setCurrentNode(parameters.inputVolume)
        self._models.select(parameters.model)
        self._showOrgans()
        for name, box in self._options.items():
            box.checked = getattr(parameters, name)
        ui.rerunSelector.currentIndex = 0 if parameters.replaceSegments else 1
        self._input.refresh()
        self._result.refresh()
        self._devices.refresh(parameters.device)
        self._loading = False
        self._update()

    def _observeScene(self) -> None:
        scene, events = self._host.scene, slicer.vtkMRMLScene
        for event in (events.NodeAddedEvent, events.NodeRemovedEvent, events.EndBatchProcessEvent):
            self._observed.append((scene, scene.AddObserver(event, self._onScene)))

    def _onScene(self, scene: Any, event: Any) -> None:
        if self._loading or scene.IsBatchProcessing():
            return
        self._input.refresh()
        self._result.refresh()
        self._update()

    def _onInput(self) -> None:
        if self._loading:
            return
        self._parameters.inputVolume = self._ui.inputVolumeSelector.currentNode()
        self._hinting = self._hinting or not self._flow.busy  # what a run that is going on will say is not lost
        self._update()

    def _onModel(self) -> None:
        if self._loading:
            return
        model = self._models.current
        if model is not None:
            self._parameters.model = model.key
        self._loading = True
        self._showOrgans()
        self._loading = False
        self._hinting = True
        self._update()

    def _onOrgans(self) -> None:
        chosen = self._organs.chosen()
        self._parameters.organs = "" if chosen == self._organs.names() else ",".join(chosen)
        self._update()

    def _onDevice(self) -> None:
        if not self._loading:
            self._parameters.device = self._devices.current
            self._update()

    def _onOption(self, *_ignored: Any) -> None:
        if self._loading:
            return
        for name, box in self._options.items():
            setattr(self._parameters, name, box.checked)
        self._parameters.replaceSegments = self._ui.rerunSelector.currentIndex == 0
        self._update()

    def _showOrgans(self) -> None:
        model = self._models.current
        organs = _labelSet(model).labels if model else ()
        self._organs.show(organs, (self._parameters.organs or "").split(","))

    def _update(self) -> None:
        """Whether the button can be pressed, and if not, why."""
        model = self._models.current
        effort = _AUGMENTED_EFFORT if self._ui.augmentationCheckBox.checked else 1.0
        self._devices.setTask(model.key if model else "", self._input.sliceCount(), effort)
        if self._strip.busy:
            return
        reason = self._input.missing() or self._models.missing() or self._organs.missing()
        button = self._ui.segmentButton
        button.enabled = not reason
        button.toolTip = reason or _("Segments in the background; you can go on working meanwhile.")
        if self._hinting:
            self._strip.say(reason or self._devices.expectation())

    def _onSegment(self) -> None:
        model = self._models.current
        reason = self._input.missing() or self._models.missing() or self._organs.missing()
        if reason or model is None or self._flow.busy or not self._host.ensureReady():
            return
        self._hinting = False
        self._flow.start(self._newRun(model))

    def _newRun(self, model: ModelChoice) -> SceneRun | FolderRun:
        chosen = self._organs.chosen()
        request = SegmentRequest(
            model.key,
            () if chosen == self._organs.names() else tuple(chosen),
            self._devices.current,
            self._ui.keepLargestCheckBox.checked,
            self._ui.augmentationCheckBox.checked,
        )
        labels, folder, scene = _labelSet(model), self._host.temporaryFolder(), self._host.scene
        picked = self._input
        if picked.kind == FOLDER:
            load = scene if picked.loadResults else None
            return FolderRun(picked.inputFolder, picked.outputFolder, request, labels, folder, load)
        if picked.kind == SEQUENCE and picked.allFrames:
            frames = SequenceFrames(picked.sequence)
            return SceneRun(frames.cases(), request, labels, folder, self._host.confirm, frames.finish)
        replace = self._ui.rerunSelector.currentIndex == 0
        cases = [VolumeCase(volume, replace) for volume in picked.volumes()]
        return SceneRun(cases, request, labels, folder, self._host.confirm)

    def _onFinished(self, run: SceneRun | FolderRun) -> None:
        if run.results:
            self._writeTables(run)
            self._result.show(run.results, run.shown, run.notice)
        if run.shown is not None:
            self._parameters.segmentation = run.shown
            self._showInViews(run)
        self._update()

    def _writeTables(self, run: SceneRun | FolderRun) -> None:
        own = [result for result in run.results if result.segmentationNode is not None]
        for result in own:
            writeVolumeTable(result.segmentationNode, [result])
        if not own and run.shown is not None:  # the frames of a sequence share a node
            writeVolumeTable(run.shown, run.results)

    def _showInViews(self, run: SceneRun | FolderRun) -> None:
        volume = run.results[0].volumeNode
        if volume is not None and volume.IsA("vtkMRMLScalarVolumeNode"):
            self._host.showVolume(volume, run.shown)
        if self._ui.show3DCheckBox.checked:
            self._host.show3D(run.shown)


def _labelSet(model: ModelChoice) -> LabelSet:
    from SAMedLib.organs import LabelSet

    return model.labels or LabelSet.from_names(model.title, model.organs)
