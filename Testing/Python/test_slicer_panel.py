"""The module as Slicer loads it: three tabs on one scene, opened, closed, reloaded and saved."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import slicer_host

MODULE = Path(__file__).resolve().parents[2] / "SAMedSlicer" / "SAMedSlicer.py"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Weights and settings of nobody."""
    monkeypatch.setenv("SAMED_HOME", str(tmp_path / "weights"))
    return tmp_path


@pytest.fixture
def panel(scene, home):
    return slicer_host.loadModule(MODULE).widget


def _tabs(panel) -> list:
    import slicer

    pages = (panel.tabWidget.widget(index) for index in range(panel.tabWidget.count))
    return [slicer.util.childWidgetVariables(page) for page in pages]


def test_the_module_offers_three_tabs(panel):
    titles = [panel.tabWidget.tabText(index) for index in range(panel.tabWidget.count)]
    assert titles == ["Segment", "Training", "Evaluate"]
    segment, training, evaluate = _tabs(panel)
    assert segment.segmentButton.text == "Segment organs"
    # nothing to work on, and each button says so
    buttons = (segment.segmentButton, training.trainButton, evaluate.evaluateButton)
    lines = (segment.statusLabel, training.runStatusLabel, evaluate.statusLabel)
    for button, line in zip(buttons, lines, strict=True):
        assert not button.enabled
        assert line.text == button.toolTip != ""


def test_a_volume_in_the_scene_is_proposed(panel, scene):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    panel.enter()
    assert _tabs(panel)[0].inputVolumeSelector.currentNode() is volume
    assert panel.logic.getParameterNode().inputVolume is volume


def test_choices_survive_saving_and_loading_the_scene(panel, scene):
    panel.enter()
    segment = _tabs(panel)[0]
    assert segment.keepLargestCheckBox.checked
    segment.keepLargestCheckBox.checked = False
    segment.rerunSelector.setCurrentIndex(1)
    scene.SetSaveToXMLString(1)
    scene.Commit()
    saved = scene.GetSceneXMLString()
    slicer_host.closeScene()
    assert segment.keepLargestCheckBox.checked
    scene.SetLoadFromXMLString(1)
    scene.SetSceneXMLString(saved)
    scene.Import()
    panel.enter()
    assert not segment.keepLargestCheckBox.checked
    assert segment.rerunSelector.currentIndex == 1


def test_a_scene_that_is_loaded_brings_its_nodes_and_folders_into_all_tabs_at_once(panel, scene, tmp_path):
    segment, training, evaluate = _tabs(panel)
    for name in ("first", "chosen"):
        scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    segment.inputVolumeSelector.setCurrentNode(scene.GetFirstNodeByName("chosen"))
    parameters = panel.logic.getParameterNode()
    parameters.segmentation = parameters.reference = segmentation
    parameters.datasetFolder = str(tmp_path / "Müllers set")
    scene.SetSaveToXMLString(1)
    scene.Commit()
    saved = scene.GetSceneXMLString()
    slicer_host.closeScene()
    assert segment.inputVolumeSelector.currentNode() is None
    scene.SetLoadFromXMLString(1)
    scene.SetSceneXMLString(saved)
    scene.Import()
    for selector in (segment.inputVolumeSelector, training.trainingVolumeSelector):
        assert selector.currentNode().GetName() == "chosen"
    for selector in (evaluate.referenceSelector, training.trainingSegmentationSelector):
        assert selector.currentNode().GetName() == "organs"
    assert training.datasetFolderEdit.text == str(tmp_path / "Müllers set")
    assert panel.parameters.segmentation.GetName() == "organs"


def test_a_closed_scene_leaves_a_panel_that_works(panel, scene):
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    panel.enter()
    slicer_host.closeScene()
    segment = _tabs(panel)[0]
    assert segment.inputVolumeSelector.currentNode() is None
    assert not segment.segmentButton.enabled
    later = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "another CT")
    panel.enter()
    assert segment.inputVolumeSelector.currentNode() is later


def test_the_module_can_be_reloaded_and_left(panel, scene):
    import slicer

    panel.enter()
    panel.exit()
    again = slicer_host.reloadModule("SAMedSlicer").widget
    assert again is not panel
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")  # the old panel must not answer
    again.enter()
    assert slicer.modules.SAMedSlicerWidget is again
    assert _tabs(again)[0].inputVolumeSelector.currentNode().GetName() == "CT"


def test_slicers_temporary_folder_may_be_gone_or_lead_nowhere(panel, slicer_app, tmp_path):
    application = slicer_app.qtApplication
    before = application.temporaryPath
    (tmp_path / "file").write_text("")
    try:
        for place in (tmp_path / "tidied up" / "Müller", tmp_path / "file" / "folder"):
            application.temporaryPath = str(place)
            assert panel.host.temporaryFolder().is_dir()
    finally:
        application.temporaryPath = before
    assert list((tmp_path / "tidied up" / "Müller").iterdir())
    panel.host.removeFolders()
    assert not list((tmp_path / "tidied up" / "Müller").iterdir())


def test_each_tab_can_be_shown(panel, tmp_path):
    panel.enter()
    for index in range(3):
        panel.tabWidget.setCurrentIndex(index)
        slicer_host.processEvents()
        slicer_host.screenshot(panel.parent, tmp_path / f"{index}.png")
        assert (tmp_path / f"{index}.png").stat().st_size > 5000


def test_the_panel_is_as_tall_as_the_tab_that_is_shown(panel):
    training = _tabs(panel)[1]
    training.advancedCollapsibleButton.collapsed = False
    tall = {}
    for index in (1, 2, 0):
        panel.tabWidget.setCurrentIndex(index)
        slicer_host.processEvents()
        tall[index] = panel.tabWidget.minimumSizeHint.height()
    assert tall[1] > tall[2] + 100
    assert tall[1] > tall[0] + 100


def test_long_names_do_not_widen_the_panel(panel, scene):
    name = "CT Abdomen Pelvis with contrast 1.25mm B30f portal venous phase 2026-08-21 ser 5 recon 2 (thin)"
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} organs")
    panel.enter()
    segment, training, evaluate = _tabs(panel)
    segment.inputVolumeSelector.setCurrentNode(volume)
    training.trainingSegmentationSelector.setCurrentNode(segmentation)
    evaluate.predictionSelector.setCurrentNode(segmentation)
    from SAMedSlicerLib.OrganSize import OrganSize
    from SAMedSlicerLib.SegmentResult import SegmentResult

    result = SegmentResult(name, [OrganSize("right kidney", (185, 102, 83), 12, 1.2, False)], volume, segmentation)
    panel.segmentTab._result.show([result], segmentation, "Demonstration model: not for patients.")
    assert segment.resultCollapsibleButton.toolTip == name
    for index in range(3):
        panel.tabWidget.setCurrentIndex(index)
        slicer_host.processEvents()
        assert panel.parent.minimumSizeHint.width() <= 420


def test_starting_slicer_imports_nothing_of_the_panel_and_opening_it_nothing_heavy(slicer_app):
    script = (
        "import sys, slicer_host; slicer_host.boot(); before = set(sys.modules)\n"
        f"sys.path.insert(0, {str(MODULE.parent)!r})\n"
        "import SAMedSlicer\n"
        "assert not [name for name in sys.modules if name.startswith(('SAMedSlicerLib', 'SAMedLib'))]\n"
        f"loaded = slicer_host.loadModule({str(MODULE)!r}); loaded.widget.enter()\n"
        "new = set(sys.modules) - before\n"
        "heavy = {'torch', 'torchvision', 'lightning_fabric', 'medpy', 'h5py', 'matplotlib', 'tensorboard'} & new\n"
        "assert not heavy, heavy\n"
        "slicer_host.unloadModule('SAMedSlicer')\n"
    )
    paths = [str(MODULE.parents[1] / "Testing"), str(MODULE.parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_quitting_slicer_asks_whether_a_training_goes_on_before_the_panel_is_taken_down(slicer_app, tmp_path):
    # a process of its own, because it quits the application
    script = f"""
import json, sys
from pathlib import Path
import slicer_host
app = slicer_host.boot()
import qt, slicer
sys.path.insert(0, {str(MODULE.parent)!r})
from SAMedSlicerLib.ChildPython import ChildPython
from SAMedSlicerLib.Job import Job

class LongTraining(ChildPython):
    def arguments(self, command):
        return [sys.executable, "-c", "import time; time.sleep(300)"]

run = Path({str(tmp_path)!r}, "run")
run.mkdir()
job = Job(run / "job", ["train"], LongTraining(), detached=True)
job.start()
qt.QSettings().setValue("SAMedSlicer/trainingRuns", json.dumps([str(run)]))
slicer_host.loadModule({str(MODULE)!r}).widget.enter()
with app.dialogs.answering(lambda box: box.buttons()[0].click()) as shown:
    slicer.app.aboutToQuit.emit()
assert "can go on without Slicer" in shown[0], shown
assert job.running
job.kill()
"""
    paths = [str(MODULE.parents[1] / "Testing"), str(MODULE.parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SAMED_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
