"""The Host inside 3D Slicer."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import qt
import slicer

from SAMedSlicerLib.ChildPython import ChildPython
from SAMedSlicerLib.SetUp import SetUp

_TITLE = "SAMed"


class SlicerHost:
    """Dialogs, settings, views and modules of the running application; see Host for what each method promises."""

    def __init__(self, setUp: SetUp) -> None:
        self._setUp = setUp
        self._folders: list[Path] = []
        atexit.register(self.removeFolders)

    @property
    def scene(self):
        return slicer.mrmlScene

    def confirm(self, text: str) -> bool:
        return bool(slicer.util.confirmYesNoDisplay(text, windowTitle=_TITLE))

    def choose(self, text: str, options: Sequence[str]) -> str | None:
        """Under --testing nobody answers: the first option."""
        if slicer.app.testingEnabled():
            return options[0]
        box = qt.QMessageBox(slicer.util.mainWindow())
        box.windowTitle = _TITLE
        box.text = text
        for option in options:
            box.addButton(option, qt.QMessageBox.AcceptRole)
        box.addButton(qt.QMessageBox.Cancel)
        box.exec_()
        clicked = box.clickedButton()
        answer = clicked.text if clicked else None
        box.deleteLater()
        # some styles put an & into the text as keyboard shortcut
        return next((option for option in options if answer and answer.replace("&", "") == option), None)

    def showError(self, text: str) -> None:
        slicer.util.errorDisplay(text, windowTitle=_TITLE)

    def showInfo(self, text: str) -> None:
        slicer.util.infoDisplay(text, windowTitle=_TITLE)

    def chooseFolder(self, title: str) -> str | None:
        return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, "") or None

    def chooseFile(self, title: str, filter: str) -> str | None:
        return _path(qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, "", filter))

    def saveFile(self, title: str, name: str, filter: str) -> str | None:
        return _path(qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, filter))

    def temporaryFolder(self) -> Path:
        place = Path(slicer.app.temporaryPath)
        try:
            place.mkdir(parents=True, exist_ok=True)  # computers tidy such places while Slicer runs
            folder = Path(tempfile.mkdtemp(prefix="samed-", dir=place))
        except OSError:  # a drive that is gone, for example
            folder = Path(tempfile.mkdtemp(prefix="samed-"))
        self._folders.append(folder)
        return folder

    def removeFolders(self) -> None:
        """Patient data does not linger; folders that their users removed already are gone."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

    def setting(self, key: str, default: str = "") -> str:
        return str(qt.QSettings().value(f"SAMedSlicer/{key}", default))

    def setSetting(self, key: str, value: str) -> None:
        qt.QSettings().setValue(f"SAMedSlicer/{key}", value)

    def python(self) -> ChildPython:
        return ChildPython()

    def timer(self):
        return qt.QTimer()

    def ensureReady(self) -> bool:
        return not self._setUp.missing() or self._setUp.install(self)

    def openModule(self, name: str, node=None) -> None:
        slicer.util.selectModule(name)
        if node is None:
            return
        if name == "SegmentEditor":
            slicer.modules.SegmentEditorWidget.editor.setSegmentationNode(node)
        elif name == "SegmentStatistics":
            slicer.modules.SegmentStatisticsWidget.segmentationSelector.setCurrentNode(node)

    def showVolume(self, volumeNode, segmentationNode=None) -> None:
        slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
        if segmentationNode and segmentationNode.GetDisplayNode():
            segmentationNode.GetDisplayNode().SetVisibility(True)

    def show3D(self, segmentationNode) -> None:
        segmentationNode.CreateClosedSurfaceRepresentation()
        if slicer.app.layoutManager():
            slicer.util.resetThreeDViews()

    def jumpTo(self, ras: Sequence[float]) -> None:
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *ras, slicer.vtkMRMLSliceNode.CenteredJumpSlice)

    def showTable(self, tableNode) -> None:
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        manager.setLayout(slicer.modules.tables.logic().GetLayoutWithTable(manager.layout))
        slicer.app.applicationLogic().GetSelectionNode().SetActiveTableID(tableNode.GetID())
        slicer.app.applicationLogic().PropagateTableSelection()

    def showChart(self, chartNode) -> None:
        if slicer.app.layoutManager():
            slicer.modules.plots.logic().ShowChartInLayout(chartNode)


def _path(answer) -> str | None:
    # PythonQt returns the file name, other bindings the name and the filter
    name = answer[0] if isinstance(answer, tuple) else answer
    return name or None
