"""The Segment tab on real Qt and MRML, somebody who answers its questions, and children for it.

Importing this needs PySide6 and slicer-core; it skips the importing test file without them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slicer_host

if (reason := slicer_host.reasonNotToBoot()) is not None:
    pytest.skip(f"the panel is not tested: {reason}", allow_module_level=True)
slicer_host.boot()

import qt  # noqa: E402
import slicer  # noqa: E402

from SAMedLib.data.phantom import make_phantom  # noqa: E402
from SAMedSlicerLib.ChildPython import ChildPython  # noqa: E402
from SAMedSlicerLib.ModelCatalog import ModelCatalog  # noqa: E402
from SAMedSlicerLib.SegmentTab import SegmentTab  # noqa: E402
from SAMedSlicerLib.VoxelArrays import imageOf, voxelsOf  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
UI = ROOT / "SAMedSlicer" / "Resources" / "UI" / "SegmentTab.ui"
_DOUBLE_CLICK_S = 0.4
PATIENCE_S = 240.0  # a child imports PyTorch, which takes long on a busy machine

# `samed segment` with a threshold in place of the network: the same files, events and endings, without PyTorch.
# It waits where the file QUICK_HOLD says: at "start", or at the scan and slice of that number, such as "0 2".
QUICK = """
import json, os, sys, time
from pathlib import Path
hold = Path(os.environ["QUICK_HOLD"])
while hold.exists() and hold.read_text() == "start":
    time.sleep(0.01)
from SAMedLib.command import run
from SAMedLib.errors import SAMedError
from SAMedLib.segment import parser

def work(args, report):
    import SimpleITK as sitk
    report.progress("loading the model", 0, 1)
    report.progress("loading the model", 1, 1)
    single = args.input.is_file()
    scans = [args.input] if single else sorted(args.input.iterdir())
    for number, scan in enumerate(scans):
        if not single:
            report.progress("scans", number, len(scans), scan.stem)
        report.progress("reading", 0, 1)
        image = sitk.ReadImage(str(scan))
        for index in range(image.GetSize()[2]):
            report.progress("segmenting", index, image.GetSize()[2])
            while hold.exists() and hold.read_text() == f"{number} {index}":
                report.check_cancelled()
                time.sleep(0.01)
        labels = sitk.Cast(image > 0, sitk.sitkUInt8) * 5
        labels.SetMetaData("SAMed", json.dumps({"model": "tiny", "notice": "Demonstration model: not for patients."}))
        report.progress("writing", 0, 1)
        part = args.output.with_name("part.nrrd") if single else args.output / "part.nrrd"
        sitk.WriteImage(labels, str(part))
        os.replace(part, args.output if single else args.output / (scan.stem + ".nrrd"))
    report.result(output=args.output)

assert sys.argv[1] == "segment"
sys.exit(run(parser(), work, sys.argv[2:]))
"""


class Host:
    """The application as SegmentTab sees it; questions get the prepared answer, and what was shown is kept."""

    def __init__(self, folder: Path) -> None:
        self.scene = slicer.mrmlScene
        self.asked: list[str] = []
        self.shown: list[tuple] = []
        self.settings: dict[str, str] = {}
        self.answer: Any = True
        self.ready = True
        self.child = ChildPython(environment={"OMP_NUM_THREADS": "1"})
        self._folder = folder
        self._count = 0

    def confirm(self, text: str) -> bool:
        self.asked.append(text)
        return bool(self.answer)

    def showError(self, text: str) -> None:
        self.shown.append(("error", text))

    def showInfo(self, text: str) -> None:
        self.shown.append(("info", text))

    def chooseFolder(self, title: str) -> str | None:
        self.asked.append(title)
        return self.answer

    def temporaryFolder(self) -> Path:
        self._count += 1
        folder = self._folder / f"Müller's temporary {self._count}"
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def setting(self, key: str, default: str = "") -> str:
        return self.settings.get(key, default)

    def setSetting(self, key: str, value: str) -> None:
        self.settings[key] = value

    def python(self) -> ChildPython:
        return self.child

    def timer(self) -> Any:
        return qt.QTimer()

    def ensureReady(self) -> bool:
        return self.ready

    def openModule(self, name: str, node: Any = None) -> None:
        self.shown.append((name, node))

    def showVolume(self, volumeNode: Any, segmentationNode: Any = None) -> None:
        self.shown.append(("volume", volumeNode, segmentationNode))

    def show3D(self, segmentationNode: Any) -> None:
        self.shown.append(("3D", segmentationNode))

    @property
    def left(self) -> list[str]:
        """Files in temporary folders that nobody removed."""
        return sorted(str(path.relative_to(self._folder)) for path in self._folder.rglob("*"))


class Parameters:
    """What the parameter node of a new scene holds."""

    def __init__(self) -> None:
        self.inputVolume = self.segmentation = None
        self.model, self.device, self.organs = "tiny", "auto", ""
        self.keepLargest, self.testTimeAugmentation, self.show3D, self.replaceSegments = True, False, False, True


class Panel:
    """A Segment tab and its widgets."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(folder)
        self.parameters = Parameters()
        self.widget = slicer.util.loadUI(str(UI))
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.tab = SegmentTab(self.ui, self.host, self.parameters, ModelCatalog)
        self.tab.enter()

    def close(self) -> None:
        """As when the module is reloaded."""
        if self.widget is not None:
            self.tab.cleanup()
            self.widget.deleteLater()
            self.widget = None
            slicer_host.processEvents()

    @property
    def status(self) -> str:
        return self.ui.statusLabel.text

    @property
    def idle(self) -> bool:
        return self.ui.segmentButton.text == "Segment organs"

    def use(self, volumeNode: Any) -> None:
        self.ui.inputVolumeSelector.setCurrentNode(volumeNode)

    def press(self) -> None:
        self.ui.segmentButton.click()

    def wait(self, until: Any = None) -> None:
        slicer_host.processEvents(until or (lambda: self.idle), PATIENCE_S)

    def segment(self) -> None:
        """Press the button and wait for the end."""
        assert self.ui.segmentButton.enabled, self.ui.segmentButton.toolTip
        self.press()
        self.wait()

    def waitForStatus(self, *texts: str) -> None:
        """Raises if the run ends before the status line holds these."""
        self.wait(lambda: all(text in self.status for text in texts) or self.idle)
        assert all(text in self.status for text in texts), self.status

    def becomeQuick(self, folder: Path) -> None:
        """From now on children need no PyTorch; see QUICK."""
        folder.mkdir(exist_ok=True)
        (folder / "quick.py").write_text(QUICK, encoding="utf-8")
        self._hold = folder / "hold"
        environment = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "QUICK_HOLD": str(self._hold)}
        self.host.child = ChildPython(sys.executable, environment, module="quick")

    def pressAndHold(self, where: str) -> None:
        """Press the button and wait until the quick child is at "start", or at a scan and slice such as "0 2"."""
        self._hold.write_text(where)
        pressed = time.monotonic()
        self.press()
        if where == "start":
            self.waitForStatus("Starting")
        else:
            scan, number = map(int, where.split())
            self.waitForStatus(f"Segmenting slice {number + 1} of", f"scan {scan + 1} of" if scan else "")
        # on a fast machine that was sooner than the second half of a double click, which does not cancel
        self.wait(lambda: time.monotonic() - pressed > 2 * _DOUBLE_CLICK_S)

    def release(self) -> None:
        """Let the quick child go on."""
        self._hold.unlink()

    def table(self) -> dict[str, list[str]]:
        """The table of organ volumes, by organ."""
        table = self.ui.resultTable
        return {
            table.item(row, 0).text(): [table.item(row, column).text() for column in range(1, table.columnCount)]
            for row in range(table.rowCount)
        }


def addVolume(hu: np.ndarray, ijkToRas: Any = None, name: str = "CT") -> Any:
    """A volume node of HU [K,J,I]; `ijkToRas` is 4 x 4."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(np.asarray(np.eye(4) if ijkToRas is None else ijkToRas, float).ravel())
    image = vtk.vtkImageData()
    image.DeepCopy(imageOf(hu, vtk.vtkMatrix4x4()))
    image.SetOrigin(0, 0, 0)
    image.SetSpacing(1, 1, 1)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    return node


def addPhantom(name: str = "CT", seed: int = 1, slices: int = 5, size: int = 48, rotated: bool = False) -> Any:
    """A small abdominal phantom; `rotated` puts it obliquely."""
    phantom = make_phantom(seed, in_plane=size, num_slices=slices, coverage="full")
    matrix = np.diag([-1.0, -1.0, 1.0, 1.0]) @ phantom.volume.geometry.ijk_to_lps()
    if rotated:
        angle = np.radians(17)
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = turn @ matrix
    return addVolume(np.asarray(phantom.volume.array, np.int16), matrix, name)


def segments(segmentationNode: Any) -> dict[str, Any]:
    segmentation = segmentationNode.GetSegmentation()
    ids = segmentation.GetSegmentIDs()
    return {segmentation.GetSegment(segmentId).GetName(): segmentation.GetSegment(segmentId) for segmentId in ids}


def segmentVoxels(segmentationNode: Any, name: str, volumeNode: Any) -> np.ndarray:
    """One segment's voxels as Slicer itself puts them on the volume's grid."""
    segmentation = segmentationNode.GetSegmentation()
    segmentId = segmentation.GetSegmentIdBySegmentName(name)
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentId, volumeNode)


def editSegment(segmentationNode: Any, name: str) -> None:
    """Erase a corner of the segment's image, as a user does with a brush."""
    segment = segments(segmentationNode)[name]
    image = segment.GetRepresentation("Binary labelmap")
    labels = voxelsOf(image)
    inside = np.argwhere(labels == segment.GetLabelValue())
    labels[tuple(inside[0])] = 0
    image.GetPointData().GetScalars().Modified()
    image.Modified()
    segment.Modified()


def nodesOf(className: str) -> list[Any]:
    scene = slicer.mrmlScene
    return [scene.GetNthNodeByClass(n, className) for n in range(scene.GetNumberOfNodesByClass(className))]


@contextlib.contextmanager
def openPanel(folder: Path) -> Iterator[Panel]:
    panel = Panel(folder / "temporary folders")
    try:
        yield panel
    finally:
        panel.close()
        shutil.rmtree(folder / "temporary folders", ignore_errors=True)
