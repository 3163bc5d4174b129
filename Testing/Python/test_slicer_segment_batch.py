"""Several scans in one press of the button, with the embedded model in a real child process."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from made_ct import write_dicom_series
from panel_segment import addPhantom, nodesOf, openPanel, segments
from SAMedLib.data.phantom import make_phantom
from SAMedLib.imaging.volume import read_labels, read_volume, write_array

import slicer  # isort: skip
from SAMedSlicerLib.VoxelArrays import voxelsOf  # isort: skip


@pytest.fixture
def panel(scene, tmp_path):
    with openPanel(tmp_path) as panel:
        yield panel


def test_a_volume_that_fails_does_not_stop_the_other_loaded_ones(panel):
    volumes = [addPhantom("früh", 1), addPhantom("flat", 2), addPhantom("late/2", 3)]
    voxelsOf(volumes[1].GetImageData())[...] = 7
    panel.ui.inputKindSelector.currentIndex = 1
    panel.segment()
    assert panel.status.startswith("2 of 3 scans segmented. 'flat' has the same value 7 everywhere")
    nodes = nodesOf("vtkMRMLSegmentationNode")
    assert [node.GetName() for node in nodes] == ["früh organs", "late/2 organs"]
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    assert [node.GetNodeReference(role) for node in nodes] == [volumes[0], volumes[2]]
    assert all("liver" in segments(node) for node in nodes)
    assert len(panel.table()["liver"]) == 2
    assert len(nodesOf("vtkMRMLTableNode")) == 2
    assert panel.host.left == []
    panel.ui.resultTable.cellClicked.emit(0, 2)
    assert panel.host.shown[-1] == ("volume", volumes[2], nodes[1])


def test_the_frames_of_a_sequence_get_a_sequence_of_segmentations_that_follows_the_browser(panel):
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "breathing")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for index, seed in (("0", 1), ("1.5", 3)):
        frame = addPhantom("frame", seed)
        sequence.SetDataNodeAtValue(frame, index)
        slicer.mrmlScene.RemoveNode(frame)
    panel.ui.inputKindSelector.currentIndex = 2
    panel.ui.sequenceSelector.setCurrentNode(sequence)
    panel.segment()
    assert panel.status.startswith("2 of 2 scans segmented.")
    proxy = panel.parameters.segmentation
    (browser,) = nodesOf("vtkMRMLSequenceBrowserNode")
    result = next(node for node in nodesOf("vtkMRMLSequenceNode") if node is not sequence)
    assert browser.GetProxyNode(result) is proxy
    assert (result.GetIndexName(), result.GetIndexUnit()) == ("time", "s")
    assert [result.GetNthIndexValue(n) for n in range(2)] == ["0", "1.5"]
    counts = [_liverVoxels(result.GetNthDataNode(n)) for n in range(2)]
    assert counts[0] != counts[1]
    assert min(counts) > 0
    # no stand-in is left in the scene: the shown frame and its segmentation only
    assert [node.GetName() for node in nodesOf("vtkMRMLScalarVolumeNode")] == ["breathing"]
    assert nodesOf("vtkMRMLSegmentationNode") == [proxy]
    (table,) = nodesOf("vtkMRMLTableNode")
    assert table.GetNumberOfRows() == 16
    assert panel.host.left == []


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "Ärzte & Scans"
    phantom = make_phantom(1, in_plane=48, num_slices=4, coverage="full")
    folder.mkdir()
    hu = np.asarray(phantom.volume.array, np.int16)
    write_array(folder / "one.nii.gz", hu, phantom.volume.geometry, {})
    write_array(folder / "two.nrrd", np.full_like(hu, 3), phantom.volume.geometry, {})
    write_dicom_series(folder / "three", hu, [5.0 * k for k in range(len(hu))])
    return folder


def test_a_folder_is_segmented_into_files_and_loaded(panel, folder, tmp_path):
    panel.ui.inputKindSelector.currentIndex = 3
    panel.ui.inputFolderEdit.text = str(folder)
    panel.ui.outputFolderEdit.text = str(tmp_path / "results")
    panel.segment()
    assert panel.status.startswith("2 of 3 scans segmented. two: ")
    assert "Load the images of three with the DICOM module." in panel.status
    written = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert written == ["one.seg.nrrd", "organ-volumes.csv", "three.seg.nrrd"]
    rows = csv.DictReader((tmp_path / "results" / "organ-volumes.csv").read_text().splitlines())
    assert {row["case"] for row in rows} == {"one", "three"}
    nodes = {node.GetName(): node for node in nodesOf("vtkMRMLSegmentationNode")}
    assert sorted(nodes) == ["one organs", "three organs"]
    (volume,) = nodesOf("vtkMRMLScalarVolumeNode")
    labels = read_labels(tmp_path / "results" / "one.seg.nrrd").array
    node = nodes["one organs"]
    segmentId = node.GetSegmentation().GetSegmentIdBySegmentName("liver")
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentId, volume)
    # Slicer turns the slices of a left-handed grid round when it loads a file, those of the volume and of the segments
    hu = read_volume(folder / "one.nii.gz").array
    turned = slice(None, None, 1 if np.array_equal(slicer.util.arrayFromVolume(volume), hu) else -1)
    assert np.array_equal(slicer.util.arrayFromVolume(volume)[turned], hu)
    assert np.array_equal(voxels[turned] > 0, labels == 5)
    assert panel.host.left == []


def test_a_folder_without_scans_is_told_in_a_sentence(panel, tmp_path):
    (tmp_path / "empty").mkdir()
    panel.ui.inputKindSelector.currentIndex = 3
    panel.ui.inputFolderEdit.text = str(tmp_path / "empty")
    panel.ui.outputFolderEdit.text = str(tmp_path / "results")
    panel.segment()
    assert panel.status == f"{tmp_path / 'empty'} holds no CT; give image files, or folders of DICOM slices."
    assert panel.host.left == []


def _liverVoxels(segmentation) -> int:
    segment = segments(segmentation)["liver"]
    return int(np.count_nonzero(voxelsOf(segment.GetRepresentation("Binary labelmap")) == segment.GetLabelValue()))
