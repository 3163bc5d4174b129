"""The Training tab's list of cases: nodes of the scene become cases that the library reads, voxel by voxel."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from panel_training import AnsweringHost, Panel, add_segmentation, add_volume, pause, shapes, wait
from SAMedLib.data.folders import DatasetFolder
from SAMedLib.organs import SYNAPSE

# rotated about two axes; spacing 0.8, 0.9, 2.5 mm
OBLIQUE = np.array([[-0.64, 0.54, 0.0, 12.5], [-0.384, -0.576, -1.5, -7.25], [-0.288, -0.432, 2.0, 40.0], [0, 0, 0, 1]])


@pytest.fixture
def host(scene, tmp_path) -> AnsweringHost:
    return AnsweringHost(scene, tmp_path / "host")


@pytest.fixture
def panel(host):
    panel = Panel(host)
    yield panel
    panel.tab.cleanup()


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "Trainings Fälle"


def liver_and_spleen(scene, seed=0, names=("Liver", "my spleen thing", "Fat"), **kwargs):
    array, labels = shapes(seed)
    volume = add_volume(scene, array, f"Patient {seed}", **kwargs)
    masks = {names[0]: labels == 1, names[1]: labels == 2, names[2]: labels == 0}
    return volume, array, labels, add_segmentation(scene, volume, masks)


def under_transform(volume, matrix):
    import slicer
    import vtk

    node = volume.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
    vtk_matrix = vtk.vtkMatrix4x4()
    for index in np.ndindex(4, 4):
        vtk_matrix.SetElement(*index, float(matrix[index]))
    node.SetMatrixTransformToParent(vtk_matrix)
    assert isinstance(node, slicer.vtkMRMLLinearTransformNode)
    volume.SetAndObserveTransformNodeID(node.GetID())
    return node


def test_two_cases_are_read_back_as_they_are_in_the_scene(scene, panel, host, folder):
    volume, array, labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    assert "new training set" in panel.ui.datasetLabel.text
    panel.select(volume, segmentation)
    assert panel.mapping() == {"Liver": "liver", "my spleen thing": "(leave out)", "Fat": "(leave out)"}
    assert panel.ui.caseNameEdit.text == "case_001"
    panel.map("my spleen thing", "spleen")
    assert panel.add() == "case_001 was added."

    # the second one is oblique, under a transform, and its segments are named and numbered otherwise
    array2, labels2 = shapes(2)
    volume2 = add_volume(scene, array2, "Patient 2", OBLIQUE)
    under_transform(volume2, np.array([[0, -1, 0, 30.0], [1, 0, 0, -4.0], [0, 0, 1, 9.0], [0, 0, 0, 1]]))
    segmentation2 = add_segmentation(scene, volume2, {"a": labels2 == 2, "LIVER": labels2 == 1})
    panel.select(volume2, segmentation2)
    assert panel.mapping() == {"a": "(leave out)", "LIVER": "liver"}
    panel.map("a", "spleen")
    assert panel.add() == "case_002 was added."
    assert host.asked == []

    dataset = DatasetFolder.open(folder)
    assert dataset.label_set.names == ("spleen", "liver")
    for name, voxels, truth, matrix in (
        ("case_001", array, labels, np.diag([-1.0, -1.0, 3.0, 1.0])),
        ("case_002", array2, labels2, OBLIQUE),
    ):
        scan, values = dataset.read(name)
        np.testing.assert_array_equal(scan.array, voxels)
        np.testing.assert_array_equal(values == 2, truth == 1)
        np.testing.assert_array_equal(values == 1, truth == 2)
        np.testing.assert_allclose(np.diag([-1, -1, 1, 1]) @ scan.geometry.ijk_to_lps(), matrix, atol=1e-4)
    wait(lambda: "..." not in panel.cases().values())
    assert panel.cases() == {"case_001": "spleen, liver", "case_002": "spleen, liver"}
    assert host.leftFolders == []
    assert "Patient" not in "".join(str(path) for path in folder.rglob("*"))


def test_a_segmentation_that_does_not_move_with_its_volume_is_resampled_where_the_user_sees_it(scene, panel, folder):
    array, labels = shapes(3)
    volume = add_volume(scene, array)
    segmentation = add_segmentation(scene, volume, {"liver": labels == 1})
    moved = under_transform(volume, np.array([[1, 0, 0, 5.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.add()
    values = DatasetFolder.open(folder).read("case_001")[1]
    # the volume went 5 mm to the right, its i axis points left: what was at i is seen at i + 5
    np.testing.assert_array_equal(values[:, :, 5:], (labels == 1)[:, :, :-5])
    scene.RemoveNode(moved)


def test_the_eight_organs_of_the_scene_make_a_set_that_fits_the_embedded_model(scene, panel, folder):
    array, labels = shapes(1, slices=8)
    volume = add_volume(scene, array)
    masks = {}
    for number, label in enumerate(reversed(SYNAPSE.labels)):
        masks[label.name] = np.zeros_like(labels, bool)
        masks[label.name][number] = True
    panel.useFolder(folder)
    panel.select(volume, add_segmentation(scene, volume, masks))
    panel.add()
    assert DatasetFolder.open(folder).label_set.names == SYNAPSE.names
    assert "knows the labels of your cases" in panel.ui.startLabel.text


def test_a_label_of_ones_own_can_be_typed_and_later_cases_get_it_by_name(scene, panel, host, folder):
    volume, _array, labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.map("Fat", "körperfett")
    panel.add()
    other = add_segmentation(scene, volume, {"Körperfett": labels == 1, "tumour": labels == 2})
    panel.select(volume, other)
    assert panel.mapping() == {"Körperfett": "körperfett", "tumour": "(leave out)"}
    panel.map("tumour", "tumour")
    host.answer = False
    panel.add()
    assert "No segment stands for liver" in host.asked[-1]
    assert "tumour: new in this training set" in host.asked[-1]
    assert list(DatasetFolder.open(folder).cases) == ["case_001"]
    host.answer = True
    assert "case_002 was added" in panel.add()
    assert DatasetFolder.open(folder).label_set.names == ("liver", "körperfett", "tumour")
    np.testing.assert_array_equal(DatasetFolder.open(folder).read("case_002")[1] == 3, labels == 2)


def test_segments_that_are_empty_or_outside_are_not_added(scene, panel, folder):
    array, labels = shapes()
    volume = add_volume(scene, array)
    panel.useFolder(folder)
    panel.select(volume, add_segmentation(scene, volume, {"liver": np.zeros_like(labels)}))
    assert "no voxel within the scan" in panel.add()
    assert not folder.exists()
    panel.select(volume, add_segmentation(scene, volume, {"liver": labels == 1, "spleen": np.zeros_like(labels)}))
    assert panel.add() == "case_001 was added. It has no voxel of spleen."


def test_leaving_out_everything_is_said_and_nothing_is_written(scene, panel, folder):
    volume, _array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.map("Liver", "(leave out)")
    assert "left out" in panel.add()
    assert not folder.exists()


@pytest.mark.parametrize("which", ["volume", "segmentation"])
def test_a_node_that_is_deleted_while_it_is_added_leaves_nothing(scene, panel, host, folder, which):
    volume, _array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.ui.addCaseButton.click()
    scene.RemoveNode(volume if which == "volume" else segmentation)
    wait(lambda: panel.ui.addCaseButton.text == "Add case")
    assert "was deleted" in panel.ui.addCaseStatusLabel.text
    assert not folder.exists()
    assert host.leftFolders == []


def test_deleting_both_nodes_after_they_were_written_does_no_harm(scene, panel, folder):
    volume, array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.ui.addCaseButton.click()
    wait(lambda: (folder / "dataset.json").exists())
    scene.RemoveNode(volume)
    scene.RemoveNode(segmentation)
    wait(lambda: panel.ui.addCaseButton.text == "Add case")
    np.testing.assert_array_equal(DatasetFolder.open(folder).read("case_001")[0].array, array)


@pytest.mark.parametrize("moment", ["at once", "while it is written"])
def test_cancel_leaves_the_set_as_it_was(scene, panel, host, folder, moment):
    array, labels = shapes(slices=60, size=256)  # takes a moment to compress
    volume = add_volume(scene, array)
    segmentation = add_segmentation(scene, volume, {"liver": labels == 1})
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.ui.addCaseButton.click()
    pause()
    if moment == "while it is written":
        wait(lambda: (folder / "dataset.json").exists())
    panel.ui.addCaseButton.click()
    wait(lambda: panel.ui.addCaseButton.text == "Add case")
    assert panel.ui.addCaseStatusLabel.text == "Cancelled."
    assert not list(folder.rglob("*.nii.gz"))
    assert not (folder / "dataset.json").exists()
    assert host.leftFolders == []


@pytest.mark.skipif(os.name == "nt", reason="children are killed with signals")
def test_a_child_that_is_killed_while_it_adds_leaves_the_set_as_it_was(scene, panel, host, folder):
    volume, _array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.add()
    panel.ui.addCaseButton.click()
    wait(lambda: any(Path(left, "job", "job.json").exists() for left in host.leftFolders))
    record = json.loads((host.leftFolders[0] / "job" / "job.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    wait(lambda: panel.ui.addCaseButton.text == "Add case")
    assert "preparation of the data" in panel.ui.addCaseStatusLabel.text
    assert list(DatasetFolder.open(folder).cases) == ["case_001"]
    assert "case_002 was added" in panel.add()


def test_a_scene_that_is_closed_while_a_case_is_added_takes_it_back(scene, panel, host, folder):
    import slicer_host

    volume, _array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.ui.addCaseButton.click()
    panel.tab.sceneStartClose()
    slicer_host.closeScene()
    panel.tab.sceneEndClose()
    wait(lambda: panel.ui.addCaseButton.text == "Add case")
    assert not list(folder.rglob("*.nii.gz"))
    assert host.leftFolders == []


def test_a_volume_that_is_no_ct_is_refused_or_doubted(scene, panel, host, folder):
    array, labels = shapes()
    panel.useFolder(folder)
    mr = add_volume(scene, (array - array.min()).astype(np.int16), "MR")
    segmentation = add_segmentation(scene, mr, {"liver": labels == 1})
    host.answer = False
    panel.select(mr, segmentation)
    panel.add()
    assert "MR" in host.asked[-1]
    assert not folder.exists()


def test_a_changed_segmentation_is_shown_again_before_it_is_added(scene, panel, folder):
    volume, _array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    segmentation.GetSegmentation().GetNthSegment(1).SetName("spleen")
    assert "has changed" in panel.add()
    assert panel.mapping()["spleen"] == "spleen"
    assert "was added" in panel.add()


def test_a_name_that_is_taken_or_impossible_is_refused_and_ones_own_is_used(scene, panel, folder):
    volume, _array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.ui.caseNameEdit.text = "../x"
    assert "cannot name a case" in panel.add()
    panel.ui.caseNameEdit.text = "Fall 7"
    assert panel.add() == "Fall 7 was added."
    panel.ui.caseNameEdit.text = "fall 7"
    assert "already" in panel.add()
    assert list(DatasetFolder.open(folder).cases) == ["Fall 7"]


def test_a_double_click_shows_a_case_and_again_the_same_nodes(scene, panel, host, folder):
    volume, array, labels, segmentation = liver_and_spleen(scene, ijk_to_ras=OBLIQUE)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.add()
    panel.ui.casesTable.setCurrentCell(0, 0)
    panel.ui.casesTable.cellDoubleClicked.emit(0, 0)
    shown, organs = host.shown
    import slicer
    import vtk

    np.testing.assert_array_equal(slicer.util.arrayFromVolume(shown), array)
    matrix = vtk.vtkMatrix4x4()
    shown.GetIJKToRASMatrix(matrix)
    np.testing.assert_allclose([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)], OBLIQUE, atol=1e-4)
    from SAMedSlicerLib.SegmentationReader import SegmentationReader

    reader = SegmentationReader()
    [segment] = reader.segmentsOf(organs)
    assert (segment.name, segment.code) == ("liver", "10200004")
    np.testing.assert_array_equal(reader.labels(organs, shown, {segment.id: 1}) == 1, labels == 1)
    panel.ui.showCaseButton.click()
    assert host.shown[2:] == [shown, organs]


def test_remove_asks_and_keeps_the_files(scene, panel, host, folder):
    volume, _array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.add()
    panel.ui.casesTable.setCurrentCell(0, 0)
    host.answer = False
    panel.ui.removeCaseButton.click()
    assert list(panel.cases()) == ["case_001"]
    host.answer = True
    panel.ui.removeCaseButton.click()
    assert panel.cases() == {}
    assert len(list((folder / "removed").rglob("*.nii.gz"))) == 2
    assert panel.ui.caseNameEdit.text == "case_002"  # the removed one keeps its name


def test_a_folder_that_vanished_is_said_and_nothing_breaks(scene, panel, host, folder):
    volume, _array, _labels, segmentation = liver_and_spleen(scene)
    panel.useFolder(folder)
    panel.select(volume, segmentation)
    panel.add()
    panel.ui.casesTable.setCurrentCell(0, 0)
    shutil.rmtree(folder)
    panel.ui.showCaseButton.click()
    assert str(folder) in host.shown[-1]
    panel.ui.removeCaseButton.click()
    panel.tab.enter()
    assert panel.cases() == {}
    assert panel.ui.trainButton.enabled is False
    assert "Add a case" in panel.ui.trainButton.toolTip


def test_a_folder_with_other_files_gets_a_folder_inside(panel, host, tmp_path):
    (tmp_path / "Documents").mkdir()
    (tmp_path / "Documents" / "letter.txt").touch()
    host.answer = tmp_path / "Documents"
    panel.ui.chooseDatasetButton.click()
    assert "holds other files" in host.asked[-1]
    assert panel.ui.datasetFolderEdit.text == str(tmp_path / "Documents" / "SAMed training set")
    assert host.settings["datasetFolder"] == panel.ui.datasetFolderEdit.text


def test_without_a_folder_or_nodes_the_button_says_what_is_missing(scene, panel, folder):
    assert "folder" in panel.ui.addCaseButton.toolTip
    panel.useFolder(folder)
    assert "volume" in panel.ui.addCaseButton.toolTip
    volume, *_rest, segmentation = liver_and_spleen(scene)
    panel.ui.trainingVolumeSelector.setCurrentNode(volume)
    panel.ui.trainingSegmentationSelector.setCurrentNode(None)
    assert "segmentation" in panel.ui.addCaseButton.toolTip
    assert panel.ui.addCaseButton.enabled is False
    panel.select(volume, segmentation)
    assert panel.ui.addCaseButton.enabled is True


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("spleen", "liver"), "It knows the labels of your cases already."),
        (("Liver", "cyst"), "It knows Liver already; cyst is learned from scratch."),
        (("cyst", "stone"), "its outputs are learned anew from where they are"),
        (("cyst",), "learns the labels from scratch"),
    ],
)
def test_a_start_says_what_it_knows_of_the_cases(labels, said):
    from SAMedSlicerLib.StartChoices import StartChoice

    assert said in StartChoice("key", "title", "meaning", (), labels=("liver", "spleen")).fitTo(labels)
