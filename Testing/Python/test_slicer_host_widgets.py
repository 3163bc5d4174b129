"""The stand-ins for MRML widgets follow the scene."""

from __future__ import annotations

import pytest


@pytest.fixture
def addVolume(scene):
    def add(name: str):
        return scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)

    return add


@pytest.fixture
def selector(scene):
    """Offers scalar volumes and None."""
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.noneEnabled = True
    selector.setMRMLScene(scene)
    return selector


def names(selector) -> list[str]:
    return [selector.nodeFromIndex(index).GetName() for index in range(selector.nodeCount())]


def test_a_selector_offers_the_nodes_of_its_types_as_they_come_and_go(scene, selector, addVolume):
    first, second = addVolume("first"), addVolume("second")
    scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    assert names(selector) == ["first", "second"]
    scene.RemoveNode(first)
    assert names(selector) == ["second"]
    second.SetHideFromEditors(True)
    assert names(selector) == []


def test_label_maps_are_scalar_volumes_unless_derived_types_are_left_out(scene, selector, addVolume):
    addVolume("ct")
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert names(selector) == ["ct", "labels"]
    selector.showChildNodeTypes = False
    assert names(selector) == ["ct"]


def test_a_selector_tells_of_its_choice_in_all_the_ways_of_the_real_one(selector, addVolume):
    seen = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: seen.append(node and node.GetName()))
    selector.connect("currentNodeChanged(bool)", seen.append)
    selector.connect("currentNodeIDChanged(QString)", seen.append)
    ct = addVolume("ct")
    selector.setCurrentNode(ct)
    assert seen == ["ct", True, ct.GetID()]
    selector.setCurrentNode(None)
    assert seen[3:] == [None, False, ""]
    assert selector.currentNode() is None


def test_with_none_nothing_is_chosen_by_itself(selector, addVolume):
    addVolume("ct")
    assert selector.currentNode() is None


def test_deleting_the_chosen_node_may_choose_its_neighbour_as_in_slicer(scene, selector, addVolume):
    first, second = addVolume("first"), addVolume("second")
    selector.setCurrentNode(first)
    scene.RemoveNode(first)
    assert selector.currentNode() is second
    scene.RemoveNode(second)
    assert selector.currentNode() is None


def test_closing_the_scene_empties_a_selector(selector, addVolume, scene):
    selector.setCurrentNode(addVolume("ct"))
    scene.Clear(False)
    assert selector.nodeCount() == 0
    assert selector.currentNodeID == ""


def test_a_selector_may_ask_for_an_attribute(scene, selector, addVolume):
    addVolume("plain")
    made = addVolume("made")
    selector.addAttribute("vtkMRMLScalarVolumeNode", "SAMed.Phantom")
    assert names(selector) == []
    made.SetAttribute("SAMed.Phantom", "1")
    assert names(selector) == ["made"]
    selector.addAttribute("vtkMRMLScalarVolumeNode", "SAMed.Phantom", "2")
    assert names(selector) == []


def test_a_new_node_gets_the_base_name_and_is_chosen(scene, selector):
    seen = []
    selector.baseName = "Organs"
    selector.connect("nodeAddedByUser(vtkMRMLNode*)", seen.append)
    node = selector.addNode()
    assert node.GetName() == "Organs"
    assert seen == [node]
    assert selector.currentNode() is node


def test_a_node_chosen_before_the_scene_is_set_is_remembered(scene, addVolume):
    import slicer

    ct = addVolume("ct")
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    assert not selector.enabled
    selector.setCurrentNodeID(ct.GetID())
    selector.setMRMLScene(scene)
    assert selector.enabled
    assert selector.currentNode() is ct


def test_a_deleted_selector_no_longer_listens(slicer_app, selector, addVolume):
    import slicer_host

    selector.deleteLater()
    slicer_host.processEvents()
    addVolume("ct").SetName("renamed")
    assert slicer_app.errors.texts == []


def test_the_segments_of_a_node_are_shown_as_they_come_and_go(scene):
    import slicer

    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    table = slicer.qMRMLSegmentsTableView()
    table.setSegmentationNode(node)
    selector = slicer.qMRMLSegmentSelectorWidget()
    selector.setMRMLScene(scene)
    selector.setCurrentNode(node)
    liver = node.GetSegmentation().AddEmptySegment("liver", "liver", [0.87, 0.51, 0.4])
    node.GetSegmentation().AddEmptySegment("spleen", "spleen")
    table.setSelectedSegmentIDs(["spleen"])
    selector.setCurrentSegmentID("spleen")
    assert table.segmentCount == 2
    assert table.selectedSegmentIDs() == ("spleen",)
    node.GetSegmentation().RemoveSegment(liver)
    assert table.segmentCount == 1
    assert table.selectedSegmentIDs() == ("spleen",)
    assert (selector.segmentIDs(), selector.currentSegmentID()) == (("spleen",), "spleen")


def test_a_table_view_shows_the_values_of_its_node(scene):
    import slicer
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLTableNode", "volumes")
    column = vtk.vtkDoubleArray()
    column.SetName("mL")
    column.InsertNextValue(1542.5)
    node.AddColumn(column)
    view = slicer.qMRMLTableView()
    view.setMRMLTableNode(node)
    model = view.model()
    assert (model.rowCount(), model.data(model.index(0, 0)), model.headerData(0, 1)) == (1, "1542.5", "mL")
