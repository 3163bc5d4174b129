"""Check and Train in the Training tab: what is said before, and a training from start to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from panel_training import SHAPES, AnsweringHost, Panel, pause, shapes, small_home
from SAMedLib.data.folders import write_case
from SAMedLib.imaging.volume import Geometry, Volume
from SAMedLib.organs import LabelSet
from SAMedLib.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with small_home(tmp_path_factory.mktemp("home")) as folder:
        yield folder


@pytest.fixture
def host(scene, tmp_path, home) -> AnsweringHost:
    settings = {
        "trainingStart": "small",
        "datasetFolder": str(home / "Formen"),
        "trainingFolder": str(tmp_path / "runs"),
    }
    return AnsweringHost(scene, tmp_path / "host", settings)


@pytest.fixture
def panel(host):
    panel = Panel(host)
    panel.set(epochs=3, batch_size=4, lr=0.003, device="cpu")
    yield panel
    panel.tab.cleanup()


def test_check_then_train_then_go_on_from_the_model(panel, host):
    assert panel.ui.startSelector.currentText.startswith("small")
    assert panel.ui.validationSpinBox.specialValueText == "automatic (1 of 3)"
    panel.ui.checkButton.click()
    assert "ready to train" in panel.finish()
    page = panel.ui.checkBrowser.toPlainText()
    for words in ("Cases: 3; held out for validation: 1 (case_", "disc", "square", "Voxels", "Time: ", "Memory: about"):
        assert words in page, page
    assert not list(Path(host.settings["trainingFolder"]).glob("*"))
    panel.tab.exit()
    panel.tab.enter()
    panel.set(epochs=3)  # looked at and left
    assert panel.ui.checkBrowser.isVisibleTo(panel.widget)

    panel.ui.trainButton.click()
    said = panel.finish()
    assert said.startswith("Finished, best validation Dice 0."), said
    assert "Segment tab" in said
    [run] = panel.tab.runFolders()
    assert RunFolder(run).read_config()["options"]["lr"] == 0.003
    assert panel.modelsChanged == 1
    starts = [panel.ui.startSelector.itemText(n) for n in range(panel.ui.startSelector.count)]
    assert any(run.name in start for start in starts), starts
    assert panel.ui.runSelector.currentText == f"{run.name} (finished)"
    assert panel.ui.trainButton.enabled is False
    assert "New training" in panel.ui.trainButton.toolTip
    assert host.leftFolders == []

    charts = {chart.GetTitle().split(": ")[-1] for chart in _charts(host.scene)}  # there without being asked for
    assert len(charts) == 3, charts
    panel.ui.curvesButton.click()
    assert host.shown[-1].GetTitle().endswith("Validation Dice")
    panel.ui.curvesSelector.setCurrentIndex(1)
    panel.ui.curvesButton.click()
    series = host.shown[-1].GetNthPlotSeriesNode(0)
    column = series.GetTableNode().GetTable().GetColumnByName(series.GetYColumnName())
    losses = [event["loss"] for event in RunFolder(run).events() if "loss" in event]
    assert len(losses) == 9
    assert [column.GetValue(n) for n in range(column.GetNumberOfTuples())] == pytest.approx(losses, rel=1e-5)


def _charts(scene) -> list:
    number = scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode")
    return [scene.GetNthNodeByClass(index, "vtkMRMLPlotChartNode") for index in range(number)]


def test_one_case_without_one_of_the_organs_is_doubted_and_trained_without_validation(panel, host, tmp_path):
    array, labels = shapes(9)
    folder = tmp_path / "Einer"
    labels[labels == 2] = 0
    shape_labels = LabelSet.from_names("shapes", SHAPES)
    write_case(folder, "only", Volume(array, Geometry(array.shape[::-1]), "x"), labels, shape_labels)
    panel.useFolder(folder)
    host.answer = False
    panel.ui.trainButton.click()
    panel.finish()
    assert "square" in host.asked[-1]
    assert panel.tab.runFolders() == []
    assert "no validation Dice" in panel.ui.checkBrowser.toPlainText()
    host.answer = True
    panel.ui.trainButton.click()
    assert panel.finish().startswith("Finished. The model")
    panel.ui.curvesButton.click()
    assert "No validation Dice" in panel.status


def test_cancelling_the_check_starts_nothing(panel, host):
    panel.ui.trainButton.click()
    pause()
    panel.ui.trainButton.click()
    assert panel.finish() == "Cancelled."
    assert panel.tab.runFolders() == []
    assert host.leftFolders == []


def test_a_folder_for_trainings_that_cannot_be_made_is_said(panel, tmp_path):
    (tmp_path / "file").touch()
    panel.ui.runFolderEdit.text = str(tmp_path / "file" / "runs")
    panel.ui.runFolderEdit.editingFinished.emit()
    panel.ui.trainButton.click()
    said = panel.finish()
    assert str(tmp_path / "file") in said
    assert "Traceback" not in said
    assert panel.tab.runFolders() == []


def test_a_setting_that_is_no_number_is_named_at_the_buttons(panel):
    panel.set(lr="fast")
    assert panel.ui.trainButton.enabled is False
    assert "'Learning rate' is 'fast'" in panel.ui.trainButton.toolTip
    panel.ui.restoreDefaultsButton.click()
    assert panel.ui.trainButton.enabled is True


def test_nothing_starts_without_what_the_child_needs(panel, host):
    host.ready = False
    panel.ui.trainButton.click()
    assert not panel.busy
    assert panel.tab.runFolders() == []


def test_a_start_that_has_to_be_downloaded_is_asked_for(panel, host):
    texts = [panel.ui.startSelector.itemText(n) for n in range(panel.ui.startSelector.count)]
    panel.ui.startSelector.setCurrentIndex(next(n for n, text in enumerate(texts) if text.startswith("SAM base")))
    host.answer = False
    panel.ui.trainButton.click()
    assert "375 MB" in host.asked[-1]
    assert not panel.busy
    assert "knows no organ" in panel.ui.startSelector.currentText


def test_settings_are_remembered(panel, host, scene):
    panel.set(rank=8)
    again = Panel(AnsweringHost(scene, host._folder / "later", dict(host.settings)))
    assert again.widget.findChild(type(panel.ui.datasetFolderEdit), "rankEditor").text == "8"
    assert "--rank=8" in again.tab._settings.arguments()
    again.tab.cleanup()
