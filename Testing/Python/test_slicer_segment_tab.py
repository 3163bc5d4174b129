"""The Segment tab with the embedded model in a real child process: what the user gets."""

from __future__ import annotations

import numpy as np
import pytest

from panel_segment import addPhantom, editSegment, nodesOf, openPanel, segments, segmentVoxels
from SAMedLib.imaging.volume import read_volume
from SAMedLib.inference import Segmenter
from SAMedLib.inference.postprocess import keep_largest
from SAMedLib.model import load_model
from SAMedLib.organs import SYNAPSE

import qt  # isort: skip
import slicer  # isort: skip
import vtk  # isort: skip
from SAMedSlicerLib.InputVolume import writeVolume  # isort: skip


@pytest.fixture
def panel(scene, tmp_path):
    with openPanel(tmp_path) as panel:
        yield panel


def libraryLabels(volumeNode, path) -> np.ndarray:
    """What the library makes of the volume, without the panel."""
    writeVolume(volumeNode, path)
    return keep_largest(Segmenter(load_model("tiny"), "cpu").segment(read_volume(path)))


def test_the_button_gives_coded_organs_under_the_volume_equal_to_the_librarys_own_result(panel, tmp_path):
    volume = addPhantom(rotated=True)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(_matrix())
    volume.SetAndObserveTransformNodeID(transform.GetID())
    panel.use(volume)
    panel.ui.show3DCheckBox.checked = True
    panel.segment()

    expected = libraryLabels(volume, tmp_path / "volume.nrrd")
    node = panel.parameters.segmentation
    found = [label for label in SYNAPSE if (expected == label.value).any()]
    assert list(segments(node)) == [label.name for label in found]
    assert len(found) >= 5
    for label in found:
        voxels = segmentVoxels(node, label.name, volume)
        assert np.array_equal(voxels > 0, expected == label.value), label.name
        tag = slicer.vtkSegment.GetTerminologyEntryTagName()
        value = vtk.reference("")
        assert segments(node)[label.name].GetTag(tag, value)
        assert label.code.value in str(value)
    assert node.GetTransformNodeID() == transform.GetID()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    assert hierarchy.GetItemDataNode(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))) is volume
    assert panel.host.shown == [("volume", volume, node), ("3D", node)]

    assert panel.status.startswith(f"{len(found)} organs found in CT.")
    assert panel.ui.noticeLabel.text == "Demonstration model: not for patients."
    voxelMl = abs(np.linalg.det(slicer.util.arrayFromVTKMatrix(_ijkToRas(volume))[:3, :3])) / 1000
    for label in SYNAPSE:
        count = np.count_nonzero(expected == label.value)
        (shown,) = panel.table()[label.name]
        assert shown.removeprefix("≥ ") == (f"{count * voxelMl:.1f}" if count else "not found")
    (table,) = nodesOf("vtkMRMLTableNode")
    assert table.GetNumberOfRows() == len(SYNAPSE.names)
    assert panel.host.left == []

    panel.ui.segmentEditorButton.click()
    panel.ui.segmentStatisticsButton.click()
    assert panel.host.shown[-2:] == [("SegmentEditor", node), ("SegmentStatistics", node)]
    slicer.mrmlScene.RemoveNode(node)
    assert not panel.ui.segmentEditorButton.enabled
    assert panel.ui.segmentEditorButton.toolTip == "There is no segmentation in the scene."


def test_segmenting_again_keeps_what_the_user_edited_and_says_so(panel):
    panel.use(addPhantom())
    panel.ui.noOrgansButton.click()
    for organ in ("liver", "spleen"):
        panel.ui.organList.item(SYNAPSE.names.index(organ)).setCheckState(qt.Qt.Checked)
    panel.segment()
    node = panel.parameters.segmentation
    assert list(segments(node)) == ["spleen", "liver"]
    editSegment(node, "liver")
    panel.segment()
    assert panel.parameters.segmentation is node
    assert sorted(segments(node)) == ["liver", "liver (edited)", "spleen"]
    assert "liver was edited; it is kept as liver (edited)." in panel.status
    assert len(nodesOf("vtkMRMLTableNode")) == 1


def test_cancel_during_the_slices_ends_the_child_and_leaves_nothing(panel):
    panel.use(addPhantom(slices=60))
    panel.press()
    assert panel.ui.segmentButton.text == "Cancel"
    panel.waitForStatus("Segmenting slice")
    panel.press()
    panel.press()
    assert panel.status == "Cancelling ..."
    panel.wait()
    assert panel.status == "Cancelled."
    assert panel.host.left == []
    assert nodesOf("vtkMRMLSegmentationNode") == []
    assert panel.ui.segmentButton.enabled


def _matrix():
    transform = vtk.vtkTransform()
    transform.Translate(5, -20, 11)
    transform.RotateWXYZ(25, 1, 2, 3)
    return transform.GetMatrix()


def _ijkToRas(volume):
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix
