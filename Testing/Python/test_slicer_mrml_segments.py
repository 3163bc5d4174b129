"""Segments that the panel writes: every voxel where the model put it, wherever the volume is, and ready for DICOM."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SAMedLib.organs import SYNAPSE, LabelSet

INFO = {"model": "tiny", "notice": "Demonstration model: not for patients.", "keep_largest": True}


@pytest.fixture
def write(scene):
    from SAMedSlicerLib.SegmentationWriter import SegmentationWriter

    def write(labels, volume, **options):
        return SegmentationWriter().write(
            labels, volume, options.pop("label_set", SYNAPSE), name="CT organs", modelInfo=INFO, **options
        )

    return write


def assert_equal_voxel_by_voxel(segmentation, volume, labels) -> None:
    """As Slicer exports the segments with the volume as reference."""
    from mrml_scene import export_to_volume

    exported = export_to_volume(segmentation, volume)
    assert set(exported) == {label.name for label in SYNAPSE if (labels == label.value).any()}
    for name, mask in exported.items():
        np.testing.assert_array_equal(mask, labels == SYNAPSE[name].value, err_msg=name)


@pytest.mark.parametrize("geometry", ["oblique", "mirrored", "sheared"])
@pytest.mark.parametrize("transform", ["none", "linear", "sheared", "nested", "grid", "b-spline", "linear in grid"])
def test_segments_lie_on_the_voxels_they_were_computed_from(scene, write, geometry, transform):
    import mrml_scene as m

    matrix = {"oblique": m.oblique, "mirrored": m.mirrored, "sheared": m.sheared}[geometry]()
    move = m.affine(m.rotation(0.4, -0.3, 0.2), (12.0, -34.0, 56.0))
    parent = {
        "none": lambda: None,
        "linear": lambda: m.add_linear(scene, move),
        "sheared": lambda: m.add_linear(scene, move @ m.affine(np.array([[1, 0.3, 0], [0, 1.2, 0], [0, 0, 0.8]]))),
        "nested": lambda: m.add_linear(scene, move, parent=m.add_linear(scene, move)),
        "grid": lambda: m.add_grid(scene),
        "b-spline": lambda: m.add_bspline(scene),
        "linear in grid": lambda: m.add_linear(scene, m.affine(np.eye(3), (3, 2, 1)), parent=m.add_grid(scene)),
    }[transform]()
    volume = m.under(m.add_volume(scene, matrix=matrix), parent)
    labels = m.random_labels(volume, missing=4)
    segmentation = write(labels, volume)
    assert segmentation.GetParentTransformNode() is parent
    assert_equal_voxel_by_voxel(segmentation, volume, labels)


def test_segments_lie_right_in_all_48_axis_orientations(scene, write):
    import mrml_scene as m

    for matrix in m.axis_orientations():
        volume = m.add_volume(scene, (3, 4, 5), matrix)
        labels = m.random_labels(volume)
        segmentation = write(labels, volume)
        assert_equal_voxel_by_voxel(segmentation, volume, labels)
        scene.Clear(False)


@pytest.mark.parametrize("shape", [(1, 6, 7), (4, 1, 5), (1, 1, 1)])
def test_one_slice_is_enough(scene, write, shape):
    import mrml_scene as m

    volume = m.add_volume(scene, shape, m.oblique())
    labels = np.maximum(m.random_labels(volume), 1)
    assert_equal_voxel_by_voxel(write(labels, volume), volume, labels)


def test_segments_keep_their_place_when_voxel_indices_do_not_start_at_0(scene, write):
    import mrml_scene as m

    volume = m.add_volume(scene, (3, 4, 5), m.oblique())
    volume.GetImageData().SetExtent(2, 6, 1, 4, 3, 5)
    labels = m.random_labels(volume)
    segmentation = write(labels, volume)
    image = segmentation.GetBinaryLabelmapInternalRepresentation(m.segment_ids(segmentation)[0])
    matrix = m.matrix_of(np.eye(4))
    image.GetImageToWorldMatrix(matrix)
    np.testing.assert_allclose(m.array_of(matrix)[:3, 3], (m.oblique() @ [2, 1, 3, 1])[:3])


def test_a_segmentation_that_was_under_another_transform_moves_to_the_volumes(scene, write):
    """Written under its old transform, the segments would be moved twice."""
    import mrml_scene as m

    volume = m.under(m.add_volume(scene, matrix=m.oblique()), m.add_grid(scene))
    selected = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    m.under(selected, m.add_linear(scene, m.affine(m.rotation(0, 0, 1.0), (50, 0, 0))))
    labels = m.random_labels(volume)
    assert write(labels, volume, segmentationNode=selected) is selected
    assert_equal_voxel_by_voxel(selected, volume, labels)


def test_segments_have_the_names_colours_and_codes_of_the_organs(scene, write):
    import slicer
    import vtk

    import mrml_scene as m

    volume = m.add_volume(scene)
    segmentation = write(m.random_labels(volume), volume)
    assert m.names(segmentation) == list(SYNAPSE.names)
    logic = slicer.vtkSlicerTerminologiesModuleLogic
    for label in SYNAPSE:
        segment = m.segment_named(segmentation, label.name)
        assert tuple(round(channel * 255) for channel in segment.GetColor()) == label.color
        tag = vtk.reference("")
        assert segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
        entry = slicer.vtkSlicerTerminologyEntry()
        assert logic.DeserializeTerminologyEntry(str(tag), entry)
        assert entry.GetTerminologyContextName() == "Segmentation category and type - 3D Slicer General Anatomy list"
        assert entry.GetRegionContextName() == "Anatomic codes - DICOM master list"
        category, kind, modifier = entry.GetCategoryObject(), entry.GetTypeObject(), entry.GetTypeModifierObject()
        assert (category.GetCodingSchemeDesignator(), category.GetCodeValue()) == ("SCT", "123037004")
        assert (kind.GetCodingSchemeDesignator(), kind.GetCodeValue()) == ("SCT", label.code.value)
        assert kind.GetCodeMeaning() == label.code.meaning
        wanted = label.modifier.value if label.modifier else None
        assert (modifier.GetCodeValue() if modifier else None) in (wanted, wanted or "")


def test_organs_without_a_code_are_tissue_so_that_dicom_export_takes_them(scene, write):
    import mrml_scene as m

    labels = LabelSet.from_names("own", ["liver", "tumour"])
    volume = m.add_volume(scene)
    segmentation = write((m.random_labels(volume) % 3).astype(np.uint8), volume, label_set=labels)
    terminology = m.segment_named(segmentation, "tumour").GetTerminology()
    assert "~SCT^85756007^Tissue~SCT^85756007^Tissue~" in terminology


def test_all_segments_share_one_layer_and_missing_organs_have_none(scene, write):
    import mrml_scene as m

    volume = m.add_volume(scene)
    segmentation = write(m.random_labels(volume, missing=4), volume)
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    assert m.names(segmentation) == [name for name in SYNAPSE.names if name != "gallbladder"]
    assert m.names(write(np.zeros((6, 7, 8), np.uint8), volume)) == []


def test_the_node_says_what_made_it(scene, write):
    import mrml_scene as m

    volume = m.add_volume(scene)
    segmentation = write(m.random_labels(volume), volume)
    assert segmentation.GetAttribute("SAMed.Model") == "tiny"
    assert segmentation.GetAttribute("SAMed.Notice") == "Demonstration model: not for patients."
    assert json.loads(segmentation.GetAttribute("SAMed.Info")) == INFO
    assert segmentation.GetDescription() == "Demonstration model: not for patients."


def test_dicom_export_finds_what_it_asks_for(scene, write):
    import slicer
    import vtk

    import mrml_scene as m
    from SAMedSlicerLib.Hierarchy import hierarchyOf, itemOf

    volume = m.add_volume(scene, matrix=m.oblique())
    volume.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    segmentation = write(m.random_labels(volume), volume)
    assert segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole()) is volume
    name = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    assert segmentation.GetSegmentation().GetConversionParameter(name).endswith(";0;7;0;6;0;5;")
    assert (
        hierarchyOf(segmentation).GetItemAttribute(itemOf(segmentation), "DICOM.ReferencedInstanceUIDs")
        == "1.2.3 1.2.4"
    )
    kind, algorithm = vtk.reference(""), vtk.reference("")
    segment = m.segment_named(segmentation, "liver")
    assert segment.GetTag("DICOM.SegmentAlgorithmType", kind)
    assert segment.GetTag("DICOM.SegmentAlgorithmName", algorithm)
    assert (str(kind), str(algorithm)) == ("AUTOMATIC", "SAMed tiny")


def test_the_segmentation_stands_under_its_volume_unless_the_user_put_it_elsewhere(scene, write):
    import mrml_scene as m
    from SAMedSlicerLib.Hierarchy import hierarchyOf, itemOf

    volume = m.add_volume(scene)
    segmentation = write(m.random_labels(volume), volume)
    hierarchy = hierarchyOf(volume)
    assert hierarchy.GetItemParent(itemOf(segmentation)) == itemOf(volume)
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Mine")
    hierarchy.SetItemParent(itemOf(segmentation), folder)
    write(m.random_labels(volume), volume, segmentationNode=segmentation)
    assert hierarchy.GetItemParent(itemOf(segmentation)) == folder


def test_a_second_segmentation_gets_a_name_of_its_own(scene, write):
    import mrml_scene as m

    volume = m.add_volume(scene)
    first, second = (write(m.random_labels(volume), volume) for _ in range(2))
    assert first.GetName() == "CT organs"
    assert second.GetName() not in ("", "CT organs")
    assert second.GetName().startswith("CT organs")


def test_labels_that_do_not_fit_the_volume_are_refused_and_leave_nothing_behind(scene, write):
    import mrml_scene as m
    from SAMedSlicerLib.InputVolume import VolumeProblem

    volume = m.add_volume(scene)
    with pytest.raises(VolumeProblem, match="'CT' has 8 x 7 x 6 voxels, but its result has 8 x 7 x 5"):
        write(np.zeros((5, 7, 8), np.uint8), volume)
    with pytest.raises(VolumeProblem, match="value 9"):
        write(np.full((6, 7, 8), 9, np.uint8), volume)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_a_saved_segmentation_is_read_by_others_as_it_was_written(scene, write, tmp_path):
    import slicerio

    import mrml_scene as m

    volume = m.add_volume(scene, matrix=m.oblique())
    labels = m.random_labels(volume)
    segmentation = write(labels, volume)
    segmentation.AddDefaultStorageNode()
    segmentation.GetStorageNode().SetFileName(str(tmp_path / "organs.seg.nrrd"))
    assert segmentation.GetStorageNode().WriteData(segmentation)
    read = slicerio.read_segmentation(str(tmp_path / "organs.seg.nrrd"))
    assert [segment["name"] for segment in read["segments"]] == list(SYNAPSE.names)
    for segment, label in zip(read["segments"], SYNAPSE, strict=True):
        assert segment["terminology"]["type"][:2] == ["SCT", label.code.value]
        np.testing.assert_array_equal(segment["labelValue"] == read["voxels"].T, labels == label.value)
