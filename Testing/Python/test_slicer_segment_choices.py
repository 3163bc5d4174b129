"""The Segment tab before the button is pressed: what can be chosen, and what it says when something is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from panel_segment import Panel, addPhantom, addVolume, openPanel
from SAMedLib.organs import SYNAPSE

import qt  # isort: skip
import slicer  # isort: skip
from SAMedSlicerLib.SegmentRequest import SegmentRequest  # isort: skip


@pytest.fixture
def panel(scene, tmp_path):
    with openPanel(tmp_path) as panel:
        yield panel


def test_an_empty_scene_is_told_what_to_do(panel):
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.segmentButton.toolTip == panel.status == "Choose a CT volume first."


def test_a_volume_and_the_embedded_model_are_enough(panel):
    panel.use(addPhantom())
    assert panel.ui.segmentButton.enabled
    assert panel.parameters.inputVolume.GetName() == "CT"
    assert panel.ui.modelSelector.currentText.startswith("Embedded")
    assert "not for patients" in panel.ui.modelDetailsLabel.text
    panel.ui.modelDetailsLabel.linkActivated.emit("details")
    assert "Validation Dice" in panel.host.shown[-1][1]


def test_label_maps_and_colour_images_are_not_offered(panel):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    assert panel.ui.inputVolumeSelector.nodeCount() == 0
    for kind in (0, 1):  # one volume, all loaded volumes
        panel.ui.inputKindSelector.currentIndex = kind
        assert panel.status == "'labels' is a label map; load the CT that it was made from."
        assert not panel.ui.segmentButton.enabled
    addPhantom("chest")
    assert panel.ui.loadedVolumesLabel.text == "1 volume: chest"
    assert panel.ui.segmentButton.enabled


def test_a_scene_without_a_ct_says_what_was_loaded_instead(panel):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "photo")
    assert panel.status == "'photo' holds colours or vectors, not the values of a CT; load a CT."
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "breathing")
    assert panel.status == "Only a sequence is loaded; choose 'A sequence of volumes' as the input."
    addPhantom("chest")
    assert panel.status == "Choose a CT volume first."


def test_a_model_that_is_not_here_offers_its_download_and_says_how_large_it_is(panel):
    panel.use(addPhantom())
    titles = [panel.ui.modelSelector.itemText(index) for index in range(panel.ui.modelSelector.count)]
    panel.ui.modelSelector.currentIndex = next(i for i, title in enumerate(titles) if "download" in title)
    assert not panel.ui.downloadButton.isHidden()
    assert "MB" in panel.ui.downloadButton.toolTip
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.segmentButton.toolTip == "Download the model first, or choose another one."
    panel.ui.modelSelector.currentIndex = 0
    assert panel.ui.downloadButton.isHidden()
    assert panel.ui.segmentButton.enabled
    assert panel.parameters.model == "tiny"


def test_organs_are_chosen_and_kept_in_the_scene(panel):
    panel.use(addPhantom())
    items = [panel.ui.organList.item(row) for row in range(panel.ui.organList.count)]
    assert [item.text() for item in items] == list(SYNAPSE.names)
    panel.ui.noOrgansButton.click()
    assert panel.ui.segmentButton.toolTip == "Check at least one organ."
    items[4].setCheckState(qt.Qt.Checked)
    items[0].setCheckState(qt.Qt.Checked)
    assert panel.ui.segmentButton.enabled
    assert panel.parameters.organs == "spleen,liver"
    panel.tab.refresh()
    assert panel.parameters.organs == "spleen,liver"
    panel.ui.allOrgansButton.click()
    assert panel.parameters.organs == ""


def test_options_are_kept_in_the_scene_and_read_from_it(panel):
    assert panel.ui.keepLargestCheckBox.checked
    panel.ui.keepLargestCheckBox.checked = False
    panel.ui.show3DCheckBox.checked = True
    panel.ui.rerunSelector.currentIndex = 1
    assert (panel.parameters.keepLargest, panel.parameters.show3D) == (False, True)
    assert not panel.parameters.replaceSegments
    panel.parameters.keepLargest = panel.parameters.replaceSegments = True
    panel.tab.refresh()
    assert panel.ui.keepLargestCheckBox.checked
    assert panel.ui.rerunSelector.currentIndex == 0


@pytest.mark.parametrize(
    ("source", "output", "reason"),
    [
        ("", "", "Choose the folder that holds the scans."),
        ("nowhere", "", "nowhere is not a folder; choose the folder that holds the scans."),
        (".", "", "Choose a folder for the results."),
        (".", ".", "The results need a folder of their own, not the one that holds the scans."),
        (".", "elsewhere", ""),
    ],
)
def test_a_folder_needs_scans_and_a_place_for_results(panel, tmp_path, monkeypatch, source, output, reason):
    monkeypatch.chdir(tmp_path)
    panel.ui.inputKindSelector.currentIndex = 3
    panel.ui.inputFolderEdit.text, panel.ui.outputFolderEdit.text = source, output
    assert panel.ui.segmentButton.enabled == (not reason)
    assert panel.status == reason


def test_folders_are_chosen_with_a_dialog(panel, tmp_path):
    panel.ui.inputKindSelector.currentIndex = 3
    panel.host.answer = str(tmp_path)
    panel.ui.inputFolderButton.click()
    panel.host.answer = None
    panel.ui.outputFolderButton.click()
    assert (panel.ui.inputFolderEdit.text, panel.ui.outputFolderEdit.text) == (str(tmp_path), "")


def test_a_sequence_must_hold_volumes_and_a_shown_frame_must_be_shown(panel):
    panel.ui.inputKindSelector.currentIndex = 2
    assert panel.status == "Choose a sequence of CT volumes first."
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "breathing")
    panel.ui.sequenceSelector.setCurrentNode(sequence)
    assert panel.status == "breathing has no frames; choose another sequence."
    sequence.SetDataNodeAtValue(slicer.vtkMRMLLinearTransformNode(), "0")
    panel.tab.refresh()
    assert panel.status == "breathing is not a sequence of volumes; choose another one."
    sequence.RemoveAllDataNodes()
    sequence.SetDataNodeAtValue(addPhantom(), "0")
    panel.tab.refresh()
    assert panel.ui.segmentButton.enabled
    panel.ui.framesSelector.currentIndex = 1
    assert panel.status.startswith("No frame of breathing is shown")


@pytest.mark.parametrize(
    ("hu", "sentence"),
    [
        (np.zeros((3, 8, 8), np.int16), "'odd' has the same value 0 everywhere; there is nothing to segment."),
        (np.indices((3, 8, 8))[0].astype(np.uint8), "'odd' looks like a label map"),
        (np.full((3, 8, 8), np.nan, np.float32), "'odd' holds no number, every voxel is NaN"),
    ],
)
def test_what_is_no_ct_is_refused_in_a_sentence(panel, hu, sentence):
    panel.use(addVolume(hu, name="odd"))
    panel.segment()
    assert panel.status.startswith(sentence)
    assert panel.host.left == []
    assert panel.ui.segmentButton.enabled


def test_an_mr_image_asks_first(panel):
    mr = np.random.default_rng(0).gamma(2, 200, (4, 16, 16)).astype(np.float32)
    panel.use(addVolume(mr, name="T1"))
    panel.host.answer = False
    panel.segment()
    assert "if it is an MR image" in panel.host.asked[0]
    assert panel.host.asked[0].endswith("Segment anyway?")
    assert panel.status == "Not segmented."
    assert panel.host.left == []


def test_nothing_starts_while_packages_are_missing(panel):
    panel.use(addPhantom())
    panel.host.ready = False
    panel.press()
    assert panel.idle
    assert panel.host.left == []


def test_the_command_line_has_only_what_differs_from_the_default():
    source, output = Path("/a b/in.nrrd"), Path("/a b/out.nrrd")
    plain = SegmentRequest(keepLargest=False)
    assert plain.command(source, output) == ["segment", str(source), "-o", str(output), "--model", "tiny"]
    full = SegmentRequest("mine", ("liver", "left kidney"), "cuda", True, True).command(source, output, ["--x"])
    assert full[6:] == ["--device", "cuda", "--organs", "liver,left kidney", "--keep-largest", "--tta", "--x"]


def test_every_disabled_control_of_a_new_panel_explains_itself(panel):
    children = panel.widget.findChildren(qt.QAbstractButton)
    assert [b.objectName for b in children if not b.isEnabled() and not b.toolTip and not b.isHidden()] == []


def test_two_panels_do_not_share_state(scene, tmp_path):
    first, second = Panel(tmp_path / "1"), Panel(tmp_path / "2")
    first.use(addPhantom())
    assert first.ui.segmentButton.enabled
    assert not second.ui.segmentButton.enabled
    first.tab.cleanup()
    second.tab.cleanup()
