"""Where the Segment tab's input is chosen: a volume, all of them, a sequence, or a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.VoxelArrays import ijkToRasOf

VOLUME, LOADED, SEQUENCE, FOLDER = range(4)
_MOST_NAMES = 5


class InputPicker:
    """The widgets that say what is segmented.

    Args:
        ui: the tab's widgets.
        onChanged: called when the user chose something else.
    """

    def __init__(self, ui: Any, host: Host, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._host = host
        self._onChanged = onChanged
        ui.inputKindSelector.addItems(
            [_("One volume"), _("All loaded volumes"), _("A sequence of volumes"), _("A folder of scans")]
        )
        ui.loadedVolumesLabel.textFormat = qt.Qt.PlainText
        ui.framesSelector.addItems([_("All frames"), _("Only the frame that is shown")])
        ui.inputKindSelector.connect("currentIndexChanged(int)", self._onKind)
        ui.inputVolumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._changed)
        ui.sequenceSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._changed)
        ui.framesSelector.connect("currentIndexChanged(int)", self._changed)
        ui.inputFolderEdit.connect("textChanged(QString)", self._changed)
        ui.outputFolderEdit.connect("textChanged(QString)", self._changed)
        ui.inputFolderButton.connect("clicked(bool)", self._onChooseInput)
        ui.outputFolderButton.connect("clicked(bool)", self._onChooseOutput)
        ui.loadResultsCheckBox.checked = True
        self._showPage()

    @property
    def kind(self) -> int:
        return self._ui.inputKindSelector.currentIndex

    @property
    def inputFolder(self) -> Path:
        return Path(self._ui.inputFolderEdit.text.strip()).expanduser()

    @property
    def outputFolder(self) -> Path:
        return Path(self._ui.outputFolderEdit.text.strip()).expanduser()

    @property
    def loadResults(self) -> bool:
        return self._ui.loadResultsCheckBox.checked

    @property
    def sequence(self) -> Any:
        return self._ui.sequenceSelector.currentNode()

    @property
    def allFrames(self) -> bool:
        return self._ui.framesSelector.currentIndex == 0

    def volumes(self) -> list[Any]:
        """The volumes in the scene that are segmented; [] for whole sequences and for folders."""
        if self.kind == VOLUME:
            node = self._ui.inputVolumeSelector.currentNode()
            return [node] if node else []
        if self.kind == LOADED:
            return self._loaded()
        if self.kind == SEQUENCE and not self.allFrames:
            node = shownFrame(self.sequence)
            return [node] if node else []
        return []

    def missing(self) -> str:
        """What the user must do before segmenting, "" if nothing."""
        if self.kind == VOLUME:
            return "" if self.volumes() else self._whyNothingIsOffered() or _("Choose a CT volume first.")
        if self.kind == LOADED:
            return "" if self.volumes() else self._whyNothingIsOffered() or _("Load CT volumes first.")
        if self.kind == SEQUENCE:
            return self._missingSequence()
        return self._missingFolder()

    def refresh(self) -> None:
        """Show what the scene holds now."""
        names = [node.GetName() or "" for node in self._loaded()]
        shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
        text = {0: _("No volume is loaded."), 1: _("1 volume: {names}")}.get(len(names), _("{count} volumes: {names}"))
        self._ui.loadedVolumesLabel.text = text.format(count=len(names), names=shown)

    def sliceCount(self) -> int:
        """How many axial slices there are to segment, 0 if that is not known beforehand."""
        if self.kind == SEQUENCE and self.allFrames and not self.missing():
            frame = self.sequence.GetNthDataNode(0)
            return self.sequence.GetNumberOfDataNodes() * axialSlices(frame)
        return sum(axialSlices(volume) for volume in self.volumes())

    def _loaded(self) -> list[Any]:
        scene = self._host.scene
        nodes = [
            scene.GetNthNodeByClass(number, "vtkMRMLScalarVolumeNode")
            for number in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"))
        ]
        # label maps and colour images are of classes below
        return [
            node for node in nodes if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetHideFromEditors()
        ]

    def _whyNothingIsOffered(self) -> str:
        """About what was loaded instead of a CT; empty if there is a CT, or nothing at all."""
        scene = self._host.scene
        if self._loaded():
            return ""
        if scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode"):
            return _("Only a sequence is loaded; choose 'A sequence of volumes' as the input.")
        other = scene.GetFirstNodeByClass("vtkMRMLVolumeNode")
        if other is None:
            return ""
        if other.IsA("vtkMRMLLabelMapVolumeNode"):
            text = _("'{name}' is a label map; load the CT that it was made from.")
        else:
            text = _("'{name}' holds colours or vectors, not the values of a CT; load a CT.")
        return text.format(name=other.GetName())

    def _missingSequence(self) -> str:
        sequence = self.sequence
        if sequence is None:
            return _("Choose a sequence of CT volumes first.")
        if sequence.GetNumberOfDataNodes() == 0:
            return _("{name} has no frames; choose another sequence.").format(name=sequence.GetName())
        if not sequence.GetNthDataNode(0).IsA("vtkMRMLScalarVolumeNode"):
            return _("{name} is not a sequence of volumes; choose another one.").format(name=sequence.GetName())
        if not self.allFrames and shownFrame(sequence) is None:
            return _("No frame of {name} is shown; open it in the Sequences module, or choose all frames.").format(
                name=sequence.GetName()
            )
        return ""

    def _missingFolder(self) -> str:
        if not self._ui.inputFolderEdit.text.strip():
            return _("Choose the folder that holds the scans.")
        if not self.inputFolder.is_dir():
            return _("{folder} is not a folder; choose the folder that holds the scans.").format(
                folder=self.inputFolder
            )
        if not self._ui.outputFolderEdit.text.strip():
            return _("Choose a folder for the results.")
        if self.outputFolder.resolve() == self.inputFolder.resolve():
            return _("The results need a folder of their own, not the one that holds the scans.")
        return ""

    def _onKind(self, index: int) -> None:
        self._showPage()
        self._changed()

    def _showPage(self) -> None:
        ui = self._ui
        pages = (ui.inputVolumeSelector, ui.loadedVolumesLabel, ui.sequencePage, ui.folderPage)
        for number, page in enumerate(pages):
            page.visible = number == self.kind
        self.refresh()

    def _onChooseInput(self, checked: bool = False) -> None:
        folder = self._host.chooseFolder(_("Folder with scans"))
        if folder:
            self._ui.inputFolderEdit.text = folder

    def _onChooseOutput(self, checked: bool = False) -> None:
        folder = self._host.chooseFolder(_("Folder for the results"))
        if folder:
            self._ui.outputFolderEdit.text = folder

    def _changed(self, *_ignored: Any) -> None:
        self._onChanged()


def browserOf(sequence: Any) -> Any:
    """The first sequence browser that shows this sequence, None if there is none."""
    scene = sequence.GetScene()
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode")):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        if browser.IsSynchronizedSequenceNode(sequence, True):
            return browser
    return None


def shownFrame(sequence: Any) -> Any:
    """The volume in the scene that shows the current frame, None if there is none."""
    browser = browserOf(sequence) if sequence else None
    return browser.GetProxyNode(sequence) if browser else None


def axialSlices(volumeNode: Any) -> int:
    """Along the axis of the grid that is closest to head-feet."""
    image = volumeNode.GetImageData()
    if image is None:
        return 0
    matrix = ijkToRasOf(volumeNode)
    spacing = volumeNode.GetSpacing()
    towardsHead = [abs(matrix.GetElement(2, axis)) / spacing[axis] for axis in range(3)]
    return image.GetDimensions()[towardsHead.index(max(towardsHead))]
