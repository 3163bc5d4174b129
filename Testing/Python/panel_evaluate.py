"""The Evaluate tab on real Qt and MRML. Importing this boots the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from panel_training import AnsweringHost, wait

UI = Path(__file__).resolve().parents[2] / "SAMedSlicer" / "Resources" / "UI" / "EvaluateTab.ui"


class EvaluateHost(AnsweringHost):
    """Keeps where the views were sent, and which table was shown."""

    def __init__(self, scene: Any, folder: Path, settings: dict[str, str] | None = None) -> None:
        super().__init__(scene, folder, settings)
        self.jumps: list[tuple[float, ...]] = []
        self.tables: list[Any] = []

    def saveFile(self, title: str, name: str, filter: str) -> str | None:
        self.asked.append(f"{title} | {name} | {filter}")
        return self.answer

    def jumpTo(self, ras: Any) -> None:
        self.jumps.append(tuple(ras))

    def showTable(self, tableNode: Any) -> None:
        self.tables.append(tableNode)


class Choices:
    """What the parameter node of a scene holds."""

    inputVolume = segmentation = prediction = reference = evaluationVolume = None
    evaluationProtocol = "mm"


class EvaluatePanel:
    """An Evaluate tab and its widgets."""

    def __init__(self, host: EvaluateHost, choices: Choices | None = None) -> None:
        import slicer

        from SAMedSlicerLib.EvaluateTab import EvaluateTab

        self.host = host
        self.parameters = choices or Choices()
        self.widget = slicer.util.loadUI(str(UI))
        self.widget.setMRMLScene(host.scene)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.tab = EvaluateTab(self.ui, host, self.parameters, lambda: None)
        self.tab.enter()

    def select(self, prediction: Any, reference: Any, volume: Any = None) -> None:
        self.ui.predictionSelector.setCurrentNode(prediction)
        self.ui.referenceSelector.setCurrentNode(reference)
        if volume is not None:
            self.ui.evaluationVolumeSelector.setCurrentNode(volume)

    def useFolders(self, predictions: Path, references: Path, images: Path | None = None) -> None:
        self.ui.kindSelector.setCurrentIndex(1)
        self.ui.predictionsFolderEdit.text = str(predictions)
        self.ui.referencesFolderEdit.text = str(references)
        self.ui.imagesFolderEdit.text = str(images or "")

    def evaluate(self, timeout_s: float = 240) -> str:
        """Press the button and wait; what the status line says then."""
        self.start()
        return self.finish(timeout_s)

    def start(self) -> None:
        assert self.ui.evaluateButton.enabled, self.ui.evaluateButton.toolTip
        self.ui.evaluateButton.click()

    def finish(self, timeout_s: float = 240) -> str:
        wait(lambda: self.ui.evaluateButton.text == "Evaluate", timeout_s)
        return self.status

    @property
    def status(self) -> str:
        return str(self.ui.statusLabel.text)

    def pairs(self) -> dict[str, tuple[bool, str, str]]:
        """Organ: whether it is compared, and the names of its segments."""
        table = self.ui.pairsTable
        return {
            table.item(row, 0).text(): (
                _isChecked(table.item(row, 0)),
                *(str(table.cellWidget(row, column).currentText) for column in (1, 2)),
            )
            for row in range(table.rowCount)
        }

    def pair(self, organ: str, prediction: str) -> None:
        """Choose a segment of the prediction for an organ."""
        table = self.ui.pairsTable
        row = list(self.pairs()).index(organ)
        combo = table.cellWidget(row, 1)
        combo.setCurrentIndex(combo.findText(prediction))

    def scores(self) -> dict[str, list[str]]:
        return rows(self.ui.scoresTable)

    def cases(self) -> dict[str, list[str]]:
        return rows(self.ui.casesTable)

    def click(self, table: Any, first: str) -> None:
        """Click the row whose first cell says this."""
        table.cellClicked.emit(list(rows(table)).index(first), 0)


def rows(table: Any) -> dict[str, list[str]]:
    """The texts of a table's rows by their first cell."""
    texts = [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]
    return {first: rest for first, *rest in texts}


def _isChecked(item: Any) -> bool:
    import qt

    return item.checkState() == qt.Qt.Checked
