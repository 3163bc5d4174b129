"""The Training tab on real Qt and MRML, and somebody who answers its questions. Importing this boots the host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slicer_host
from SAMedLib.data.folders import write_case
from SAMedLib.imaging.volume import Geometry, Volume
from SAMedLib.model import DecoderConfig, EncoderConfig, ModelMetadata, SAMed, SAMedConfig
from SAMedLib.organs import LabelSet

if (reason := slicer_host.reasonNotToBoot()) is not None:
    pytest.skip(f"the panel is not tested: {reason}", allow_module_level=True)
slicer_host.boot()

UI = Path(__file__).resolve().parents[2] / "SAMedSlicer" / "Resources" / "UI" / "TrainingTab.ui"
SHAPES = ("disc", "square")


class AnsweringHost:
    """The application as a Host; questions get the prepared answers, and what was shown is kept."""

    def __init__(self, scene: Any, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.scene = scene
        self.settings = {} if settings is None else settings
        self.asked: list[str] = []
        self.shown: list[Any] = []
        self.answer: Any = True
        self.ready = True
        self._folder = folder
        self._folders = 0

    def confirm(self, text: str) -> bool:
        self.asked.append(text)
        return bool(self.answer)

    def choose(self, text: str, options: Sequence[str]) -> str | None:
        self.asked.append(text)
        return self.answer if self.answer in options else None

    def showError(self, text: str) -> None:
        self.shown.append(text)

    showInfo = showError

    def chooseFolder(self, title: str) -> str | None:
        return str(self.answer)

    def temporaryFolder(self) -> Path:
        self._folders += 1
        folder = self._folder / f"temporary {self._folders}"
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def setting(self, key: str, default: str = "") -> str:
        return self.settings.get(key, default)

    def setSetting(self, key: str, value: str) -> None:
        self.settings[key] = value

    def python(self) -> Any:
        from SAMedSlicerLib.ChildPython import ChildPython

        return ChildPython(environment={"OMP_NUM_THREADS": "1"})

    def timer(self) -> Any:
        import qt

        return qt.QTimer()

    def ensureReady(self) -> bool:
        return self.ready

    def showVolume(self, volumeNode: Any, segmentationNode: Any = None) -> None:
        self.shown += [volumeNode, segmentationNode]

    def showChart(self, chartNode: Any) -> None:
        self.shown.append(chartNode)

    @property
    def leftFolders(self) -> list[Path]:
        """Temporary folders that nobody removed."""
        return [path for path in self._folder.glob("temporary *") if path.is_dir()]


class SceneChoices:
    """What the parameter node of a scene holds."""

    inputVolume = segmentation = trainingVolume = trainingSegmentation = None
    datasetFolder = ""

    def __init__(self, runFolder: str = "") -> None:
        self.runFolder = runFolder


class Panel:
    """A Training tab and its widgets."""

    def __init__(self, host: AnsweringHost, parameters: SceneChoices | None = None) -> None:
        import slicer

        from SAMedSlicerLib.ModelCatalog import ModelCatalog
        from SAMedSlicerLib.TrainingTab import TrainingTab

        self.host = host
        self.modelsChanged = 0
        self.parameters = parameters or SceneChoices()
        self.widget = slicer.util.loadUI(str(UI))
        self.widget.setMRMLScene(host.scene)
        self.ui = slicer.util.childWidgetVariables(self.widget)

        def catalog() -> ModelCatalog:
            return ModelCatalog(self.tab.runFolders() if hasattr(self, "tab") else ())

        self.tab = TrainingTab(self.ui, host, self.parameters, catalog, self._onModels)
        self.tab.enter()

    def _onModels(self) -> None:
        self.modelsChanged += 1

    def useFolder(self, folder: Path) -> None:
        self.ui.datasetFolderEdit.text = str(folder)
        self.ui.datasetFolderEdit.editingFinished.emit()

    def select(self, volume: Any, segmentation: Any) -> None:
        self.ui.trainingVolumeSelector.setCurrentNode(volume)
        self.ui.trainingSegmentationSelector.setCurrentNode(segmentation)

    def mapping(self) -> dict[str, str]:
        """Segment name to the label in the table."""
        table = self.ui.mappingTable
        return {table.item(row, 0).text(): str(table.cellWidget(row, 1).currentText) for row in range(table.rowCount)}

    def map(self, segment: str, label: str) -> None:
        table = self.ui.mappingTable
        row = next(row for row in range(table.rowCount) if table.item(row, 0).text() == segment)
        table.cellWidget(row, 1).setEditText(label)

    def add(self) -> str:
        """Add the case; what the status line says then."""
        self.ui.addCaseButton.click()
        wait(lambda: self.ui.addCaseButton.text == "Add case")
        return str(self.ui.addCaseStatusLabel.text)

    def cases(self) -> dict[str, str]:
        table = self.ui.casesTable
        return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}

    def set(self, **values: Any) -> None:
        """Type settings into their editors."""
        for name, value in values.items():
            editor = getattr(self.ui, f"{name}Editor", None) or self.widget.findChild(_qt().QWidget, f"{name}Editor")
            if isinstance(editor, _qt().QComboBox):
                editor.setCurrentIndex(editor.findText(value))
            else:
                editor.text = str(value)
                editor.editingFinished.emit()

    @property
    def status(self) -> str:
        return str(self.ui.runStatusLabel.text)

    @property
    def busy(self) -> bool:
        return self.ui.trainButton.text in ("Stop", "End now")

    def finish(self, timeout_s: float = 300) -> str:
        """Wait until nothing runs; what the status line says then."""
        wait(lambda: not self.busy, timeout_s)
        return self.status


def wait(until: Any, timeout_s: float = 300) -> None:
    slicer_host.processEvents(until, timeout_s)


def pause() -> None:
    """Long enough for two clicks not to be a double click."""
    start = time.monotonic()
    wait(lambda: time.monotonic() - start > 0.5)


def _qt() -> Any:
    import qt

    return qt


@contextlib.contextmanager
def small_home(folder: Path, cases: int = 3) -> Iterator[Path]:
    """A weights folder with a model that trains in milliseconds, and a training set beside it."""
    labelSet = LabelSet.from_names("shapes", SHAPES)
    write_small_model(folder / "models" / "small.safetensors")
    for number in range(cases):
        array, labels = shapes(number)
        volume = Volume(array, Geometry(array.shape[::-1]), "x")
        write_case(folder / "Formen", f"case_{number}", volume, labels, labelSet)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMED_HOME", str(folder))
        yield folder


def write_small_model(path: Path, labels: Sequence[str] = SHAPES) -> Path:
    """A network that trains in milliseconds."""
    config = SAMedConfig(
        encoder=EncoderConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), window_size=4),
        decoder=DecoderConfig(embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32, mask_in_chans=4),
        image_size=64,
        slice_size=64,
        num_classes=len(labels) + 1,
        lora_targets=(),
        encoder_tuning="full",
    )
    model = SAMed(config)
    model.metadata = ModelMetadata(config, label_set=LabelSet.from_names("shapes", labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save_adapter(path)
    return path


def shapes(seed: int = 0, slices: int = 6, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """HU int16 and labels uint8, [K,J,I]: a bright disc (1) and a grey square (2) in noise."""
    rng = np.random.default_rng(seed)
    hu = np.full((slices, size, size), -60.0)
    labels = np.zeros(hu.shape, np.uint8)
    rows, columns = np.mgrid[:size, :size]
    for k in range(slices):
        y, x = rng.integers(14, 22, 2)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < 100
        y, x = rng.integers(36, 46, 2)
        square = (abs(rows - y) < 8) & (abs(columns - x) < 8)
        for where, value, label in ((disc, 200, 1), (square, 60, 2)):
            hu[k][where], labels[k][where] = value, label
    return np.round(hu + rng.normal(0, 10, hu.shape)).astype(np.int16), labels


def add_volume(scene: Any, array: np.ndarray, name: str = "CT", ijk_to_ras: np.ndarray | None = None) -> Any:
    import slicer
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, array)
    matrix = vtk.vtkMatrix4x4()
    values = np.diag([-1.0, -1.0, 3.0, 1.0]) if ijk_to_ras is None else ijk_to_ras
    for index in np.ndindex(4, 4):
        matrix.SetElement(*index, float(values[index]))
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    return node


def add_segmentation(scene: Any, volume: Any, masks: dict[str, np.ndarray], name: str = "Segmentation") -> Any:
    """Segments by name, drawn on the volume's grid, under the volume's transform."""
    import slicer

    from SAMedSlicerLib.VoxelArrays import ijkToRasOf, imageOf

    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for segment_name, mask in masks.items():
        segment = slicer.vtkSegment()
        segment.SetName(segment_name)
        segment.AddRepresentation("Binary labelmap", imageOf(mask.astype(np.uint8), ijkToRasOf(volume)))
        node.GetSegmentation().AddSegment(segment)
    return node
