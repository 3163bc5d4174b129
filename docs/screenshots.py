"""Make the README's pictures of the panel: its own buttons segment the phantom, evaluate the result and train on it.

No 3D Slicer is needed: Qt and MRML are real, the application around them is Testing/slicer_host.

usage: screenshots.py [FOLDER]    default: the folder of this file
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing"), str(ROOT / "SAMedSlicer")]

import slicer_host  # noqa: E402

app = slicer_host.boot()

import qt  # noqa: E402
import slicer  # noqa: E402
from PIL import Image  # noqa: E402

from SAMedSlicerLib.PhantomSample import loadPhantom  # noqa: E402

PANEL_WIDTH, GAP = 430, 8
PATIENCE_S = 600


def main(folder: Path) -> None:
    panel = slicer_host.loadModule(ROOT / "SAMedSlicer" / "SAMedSlicer.py").widget
    volume, reference = loadPhantom(slicer.mrmlScene, withReference=True)
    reference.GetDisplayNode().SetVisibility(False)
    panel.enter()
    segment, training, evaluate = (
        slicer.util.childWidgetVariables(panel.tabWidget.widget(index)) for index in range(3)
    )
    segment.inputVolumeSelector.setCurrentNode(volume)
    press(segment.segmentButton, lambda: not segment.progressBar.visible)
    result = panel.logic.getParameterNode().segmentation
    result.CreateClosedSurfaceRepresentation()
    with tempfile.TemporaryDirectory() as temporary:
        left = Image.open(slicer_host.screenshot(panel, Path(temporary) / "panel.png", PANEL_WIDTH))
        side = (left.height - GAP) // 2
        with slicer_host.openViews((side, side)) as views:
            views.show(volume, centre_of(result, "liver"))
            beside(left, views.save(temporary)).save(folder / "slicer.png", optimize=True)
    panel.tabWidget.setCurrentIndex(2)
    evaluate.predictionSelector.setCurrentNode(result)
    evaluate.referenceSelector.setCurrentNode(reference)
    evaluate.evaluationVolumeSelector.setCurrentNode(volume)
    slicer_host.processEvents()
    press(evaluate.evaluateButton, lambda: not evaluate.progressBar.visible)
    slicer_host.screenshot(panel, folder / "slicer_evaluate.png", PANEL_WIDTH)
    panel.tabWidget.setCurrentIndex(1)
    with tempfile.TemporaryDirectory() as temporary:
        train(training, volume, reference, Path(temporary) / "training set")
        slicer_host.screenshot(panel, folder / "slicer_training.png", PANEL_WIDTH)
    slicer_host.closeScene()
    slicer_host.unloadScriptedModules()


def train(tab, volume, reference, dataset: Path) -> None:
    """Two epochs of finetuning the embedded model on the phantom."""
    tab.datasetFolderEdit.text = str(dataset)
    tab.datasetFolderEdit.editingFinished.emit()
    tab.trainingVolumeSelector.setCurrentNode(volume)
    tab.trainingSegmentationSelector.setCurrentNode(reference)
    press(tab.addCaseButton, lambda: not tab.addCaseProgressBar.visible)
    slicer_host.processEvents(lambda: "..." not in tab.casesTable.item(0, 1).text(), PATIENCE_S)
    tab.validationSpinBox.value = 0
    epochs = tab.settingsCollapsibleButton.findChild(qt.QWidget, "epochsEditor")
    epochs.text = "2"
    epochs.editingFinished.emit()
    with app.dialogs.answering(qt.QMessageBox.Yes):  # it doubts that one case is enough
        press(tab.trainButton, lambda: not tab.runProgressBar.visible)


def press(button, finished: Callable[[], bool]) -> None:
    """Click, and wait until the button starts things again."""
    title = button.text
    button.click()
    slicer_host.processEvents(lambda: button.text == title and finished(), PATIENCE_S)


def centre_of(segmentation, organ: str) -> list[float]:
    segment = segmentation.GetSegmentation().GetSegmentIdBySegmentName(organ)
    return list(segmentation.GetSegmentCenterRAS(segment))


def beside(panel: Image.Image, views: dict[str, Path]) -> Image.Image:
    """The panel on the left, the views as Slicer's usual layout arranges them on the right."""
    side = (panel.height - GAP) // 2
    picture = Image.new("RGB", (panel.width + 2 * (side + GAP), panel.height), "white")
    picture.paste(panel, (0, 0))
    for number, name in enumerate(("Red", "3D", "Green", "Yellow")):
        row, column = divmod(number, 2)
        place = (panel.width + GAP + column * (side + GAP), row * (side + GAP))
        picture.paste(Image.open(views[name]).convert("RGB"), place)
    return picture


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
