"""Scripted modules run in the stand-in for the Slicer application, on our base classes and on Slicer's own."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

import pytest

import slicer_host
from host_module import writeSmallModule

SOURCE = os.environ.get("SLICER_SOURCE")
needsSlicerSource = pytest.mark.skipif(
    not SOURCE, reason="Slicer's own Python sources are not tried: SLICER_SOURCE names no checkout of Slicer"
)


@pytest.fixture
def small(scene, tmp_path):
    """A loaded module with its panel."""
    return slicer_host.loadModule(writeSmallModule(tmp_path))


@pytest.fixture
def calls(small):
    """What the module was asked to do."""
    return sys.modules["SmallModule"].calls


def test_a_module_is_described_to_the_application(small):
    import slicer

    assert slicer.modules.smallmodule.title == "Small module"
    assert slicer.modules.SmallModuleInstance is small.module
    assert slicer.modules.SmallModuleWidget is small.widget
    assert slicer.util.getModule("SmallModule").widgetRepresentation() is small.widget.parent


def test_parameters_start_with_their_defaults_in_node_and_widgets(small):
    ui, parameters = small.widget.ui, small.widget.parameters
    shown = (ui.thresholdSlider.value, ui.countSpinBox.value, ui.invertCheckBox.checked, ui.modeComboBox.currentText)
    assert shown == (25.0, 3, False, "exact")
    assert (parameters.threshold, parameters.count, parameters.invert, parameters.mode) == shown
    assert parameters.volume is None


def test_what_the_user_enters_is_kept_in_the_parameter_node(small, scene):
    ui = small.widget.ui
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    ui.volumeSelector.setCurrentNode(volume)
    ui.thresholdSlider.value = 40
    ui.countSpinBox.value = 8
    ui.invertCheckBox.checked = True
    ui.modeComboBox.currentIndex = 0
    ui.noteEdit.text = "Größe"
    again = small.widget.logic.getParameterNode()
    values = (again.volume, again.threshold, again.count, again.invert, again.mode, again.note)
    assert values == (volume, 40.0, 8, True, "fast", "Größe")


def test_widgets_follow_the_parameter_node(small, scene):
    ui, parameters = small.widget.ui, small.widget.parameters
    parameters.threshold, parameters.note, parameters.mode = 60.0, "note", "fast"
    parameters.volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    assert (ui.thresholdSlider.value, ui.noteEdit.text, ui.modeComboBox.currentText) == (60.0, "note", "fast")
    assert ui.volumeSelector.currentNode().GetName() == "CT"
    assert ui.applyButton.enabled


@pytest.mark.parametrize(
    ("name", "value"), [("threshold", 101.0), ("mode", "slow"), ("count", 2.5), ("invert", 1), ("note", None)]
)
def test_values_that_the_annotation_forbids_are_refused(small, name, value):
    with pytest.raises((ValueError, TypeError)):
        setattr(small.widget.parameters, name, value)


def test_parameters_are_saved_with_the_scene(small, scene, tmp_path):
    small.widget.parameters.threshold = 77.0
    path = tmp_path / "scene.mrml"
    scene.SetURL(str(path))
    scene.Commit()
    slicer_host.closeScene()
    assert small.widget.logic.getParameterNode().threshold == 25.0
    scene.SetURL(str(path))
    scene.Connect()
    assert small.widget.logic.getParameterNode().threshold == 77.0


def test_closing_the_scene_empties_the_panel(small, scene, slicer_app):
    parameters = small.widget.parameters
    parameters.volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    parameters.threshold = 77.0
    slicer_host.closeScene()
    assert small.widget.ui.thresholdSlider.value == 25.0
    assert small.widget.ui.volumeSelector.currentNode() is None
    assert not small.widget.ui.applyButton.enabled
    assert slicer_app.errors.texts == []


def test_switching_modules_enters_and_exits(small, calls):
    import slicer

    slicer.util.selectModule("SmallModule")
    assert small.widget.parent.isEntered
    slicer.util.selectModule("Data")
    assert not small.widget.parent.isEntered
    assert calls == ["enter", "exit"]


def test_a_reloaded_module_cleans_up_and_works_again(small, calls):
    widget = slicer_host.reloadModule("SmallModule").widget
    assert calls == ["cleanup"]
    assert widget is not small.widget
    widget.ui.thresholdSlider.value = 12
    assert widget.parameters.threshold == 12.0


def test_a_module_may_wait_for_the_end_of_startup(small, calls, slicer_app):
    slicer_app.qtApplication.startupCompleted.emit()
    assert "startup" in calls


def test_the_self_test_of_a_module_runs(small, calls):
    small.module.runTest(msec=1)
    assert calls == ["test"]


def test_a_picture_of_a_panel_is_as_wide_as_asked(small, tmp_path):
    import qt

    picture = qt.QImage(str(slicer_host.screenshot(small.widget, tmp_path / "panel.png", width=420)))
    assert picture.width() == 420
    colors = {picture.pixelColor(x, y).name() for x in range(0, 420, 3) for y in range(0, picture.height(), 3)}
    assert len(colors) > 3


def test_the_process_ends_in_peace_with_a_panel_open(slicer_app, tmp_path):
    module = writeSmallModule(tmp_path)
    script = f"import slicer_host; slicer_host.boot(); slicer_host.loadModule({str(module)!r}).widget.parent.show()"
    ended = _python("-c", script)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


@needsSlicerSource
def test_the_template_module_of_slicer_works_as_its_authors_meant(scene):
    import slicer

    template = Path(str(SOURCE)) / "Utilities" / "Templates" / "Modules" / "Scripted" / "TemplateKey.py"
    _, widget = slicer_host.loadModule(template)
    slicer.util.selectModule("TemplateKey")
    assert slicer.parameterNodeWrapper.__file__.startswith(str(SOURCE))
    assert not widget.ui.applyButton.enabled
    widget.ui.inputSelector.setCurrentNode(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "in"))
    widget.ui.outputSelector.setCurrentNode(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "out"))
    widget.ui.imageThresholdSliderWidget.value = -20
    assert widget.ui.applyButton.enabled
    assert widget.ui.applyButton.toolTip == "Compute output volume"
    assert widget.logic.getParameterNode().imageThreshold == -20
    slicer_host.closeScene()
    assert not widget.ui.applyButton.enabled
    assert widget.ui.imageThresholdSliderWidget.value == 100


@needsSlicerSource
@pytest.mark.parametrize("name", ["wrapper", "wrapper_guis", "wrapper_gui_creation"])
def test_slicers_own_tests_of_parameter_nodes_pass(scene, monkeypatch, name):
    import qt
    import slicer

    # stood in for nowhere: the two selectors, and plain numbers where Qt 6 wants an enumeration
    left = ("test_qMRMLSubjectHierarchyComboBox", "test_qMRMLSubjectHierarchyTreeViewToNode")
    left += ("test_ctkColorPickerButtonToQColor",)
    for missing in ("qMRMLSubjectHierarchyComboBox", "qMRMLSubjectHierarchyTreeView"):
        monkeypatch.setattr(slicer, missing, type(missing, (qt.QWidget,), {}), raising=False)
    monkeypatch.syspath_prepend(Path(str(SOURCE)) / "Base" / "Python" / "slicer" / "tests")
    loader = unittest.defaultTestLoader
    found = loader.loadTestsFromName(f"test_slicer_parameter_node_{name}")
    tests = [test for case in found for test in case if test.id().split(".")[-1] not in left]
    result = unittest.TestResult()
    unittest.TestSuite(tests).run(result)
    assert result.testsRun >= 10
    assert [trace for _, trace in result.failures + result.errors] == []


@needsSlicerSource
def test_the_small_module_works_on_our_base_classes_too():
    ended = _python("-m", "pytest", "-q", "-k", "not ends_in_peace", __file__, SLICER_SOURCE="")
    assert ended.returncode == 0, ended.stdout


def _python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(Path(__file__).resolve().parents[1] / name) for name in (".", "Python"))
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
