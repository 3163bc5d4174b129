"""Segmenting again: results are replaced, what a person did is not."""

from __future__ import annotations

import numpy as np
import pytest

from SAMedLib.organs import SYNAPSE


@pytest.fixture
def writer(scene):
    from SAMedSlicerLib.SegmentationWriter import SegmentationWriter

    return SegmentationWriter()


@pytest.fixture
def volume(scene):
    import mrml_scene as m

    return m.add_volume(scene, (6, 9, 10), m.oblique())


def boxes(*, shift: int = 0) -> np.ndarray:
    """Liver, spleen and gallbladder as boxes."""
    labels = np.zeros((6, 9, 10), np.uint8)
    labels[1:4, 1:5, 1 + shift : 4 + shift] = SYNAPSE["liver"].value
    labels[1:4, 5:8, 1:4] = SYNAPSE["spleen"].value
    labels[4:5, 1:3, 5:8] = SYNAPSE["gallbladder"].value
    return labels


def run(writer, labels, volume, segmentation=None, **options):
    return writer.write(
        labels, volume, SYNAPSE, segmentation, name="organs", modelInfo={"model": "tiny", "notice": "No."}, **options
    )


def masks(segmentation, volume) -> dict[str, np.ndarray]:
    from mrml_scene import export_to_volume

    return export_to_volume(segmentation, volume)


def paint(segmentation, name: str, index: tuple[int, int, int]) -> None:
    """Draw one voxel [K,J,I] of a segment as the Segment Editor does by default: other segments lose it."""
    import slicer

    import mrml_scene as m

    logic = slicer.vtkSlicerSegmentationsModuleLogic
    segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    stroke = slicer.vtkOrientedImageData()
    stroke.DeepCopy(segmentation.GetBinaryLabelmapInternalRepresentation(segment_id))
    m.vtk_to_numpy(stroke.GetPointData().GetScalars())[:] = 0
    value = segmentation.GetSegmentation().GetSegment(segment_id).GetLabelValue()
    stroke.SetScalarComponentFromDouble(*index[::-1], 0, value)
    others = [one for one in m.segment_ids(segmentation) if one != segment_id]
    assert logic.SetBinaryLabelmapToSegment(
        stroke, segmentation, segment_id, logic.MODE_MERGE_MAX, stroke.GetExtent(), False, others
    )


def test_a_new_result_takes_the_place_of_the_last(writer, volume):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    ids = m.segment_ids(segmentation)
    again = run(writer, boxes(shift=2), volume, segmentation)
    assert again is segmentation
    assert m.segment_ids(segmentation) == ids
    assert m.names(segmentation) == ["spleen", "gallbladder", "liver"]
    assert segmentation.GetSegmentation().GetNumberOfLayers() == 1
    np.testing.assert_array_equal(masks(segmentation, volume)["liver"], boxes(shift=2) == SYNAPSE["liver"].value)
    assert writer.notes == []


def test_organs_that_the_new_result_lacks_go(writer, volume):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    run(writer, np.where(boxes() == SYNAPSE["liver"].value, boxes(), 0).astype(np.uint8), volume, segmentation)
    assert m.names(segmentation) == ["liver"]


def test_an_edited_segment_is_kept_under_another_name(writer, volume, scene):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    paint(segmentation, "liver", (5, 8, 9))
    edited = masks(segmentation, volume)["liver"]
    assert edited.sum() == (boxes() == SYNAPSE["liver"].value).sum() + 1
    run(writer, boxes(shift=2), volume, segmentation)
    assert sorted(m.names(segmentation)) == ["gallbladder", "liver", "liver (edited)", "spleen"]
    now = masks(segmentation, volume)
    np.testing.assert_array_equal(now["liver (edited)"], edited)
    np.testing.assert_array_equal(now["liver"], boxes(shift=2) == SYNAPSE["liver"].value)
    assert writer.notes == ["liver was edited; it is kept as liver (edited)."]


def test_the_segment_that_an_edit_took_voxels_from_is_edited_too(writer, volume, scene):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    paint(segmentation, "liver", (1, 5, 1))
    run(writer, boxes(), volume, segmentation)
    assert sorted(m.names(segmentation)) == ["gallbladder", "liver", "liver (edited)", "spleen", "spleen (edited)"]


def test_edits_of_several_rounds_are_all_kept(writer, volume, scene):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    for _ in range(3):
        paint(segmentation, "liver", (5, 8, 9))
        run(writer, boxes(), volume, segmentation)
    assert sorted(name for name in m.names(segmentation) if name.startswith("liver")) == [
        "liver",
        "liver (edited 2)",
        "liver (edited 3)",
        "liver (edited)",
    ]


def test_an_edit_that_was_undone_is_no_edit(writer, volume, scene):
    import slicer

    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(segmentation.GetSegmentation())
    history.SaveState()
    paint(segmentation, "liver", (5, 8, 9))
    assert history.RestorePreviousState()
    run(writer, boxes(shift=1), volume, segmentation)
    assert m.names(segmentation) == ["spleen", "gallbladder", "liver"]


def test_undo_in_the_segment_editor_brings_the_result_before_the_rerun_back(writer, volume):
    import slicer

    segmentation = run(writer, boxes(), volume)
    history = slicer.vtkSegmentationHistory()
    history.SetSegmentation(segmentation.GetSegmentation())
    history.SaveState()
    run(writer, boxes(shift=2), volume, segmentation)
    assert history.RestorePreviousState()
    np.testing.assert_array_equal(masks(segmentation, volume)["liver"], boxes() == SYNAPSE["liver"].value)


def test_a_renamed_segment_is_the_users(writer, volume):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    m.segment_named(segmentation, "liver").SetName("liver for surgery")
    run(writer, boxes(shift=2), volume, segmentation)
    assert sorted(m.names(segmentation)) == ["gallbladder", "liver", "liver for surgery", "spleen"]
    np.testing.assert_array_equal(masks(segmentation, volume)["liver for surgery"], boxes() == SYNAPSE["liver"].value)


def test_a_segment_whose_position_was_changed_for_good_is_the_users(writer, volume, scene):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    m.under(segmentation, m.add_linear(scene, m.affine(np.eye(3), (0.71 / 2, 0, 0))))
    segmentation.HardenTransform()
    result = run(writer, boxes(), volume, segmentation)
    assert result is not segmentation, "moved segments lie between the volume's voxels"
    assert m.names(segmentation) == ["spleen", "gallbladder", "liver"]


def test_the_users_own_segments_are_never_touched(writer, volume, scene):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    own = segmentation.GetSegmentation().AddEmptySegment("tumour", "tumour")
    paint(segmentation, "liver", (0, 0, 0))
    before = masks(segmentation, volume)
    for _ in range(2):
        run(writer, boxes(shift=3), volume, segmentation)
    assert own in m.segment_ids(segmentation)
    np.testing.assert_array_equal(masks(segmentation, volume)["liver (edited)"], before["liver"])


def test_a_liver_that_the_user_drew_stays_and_the_models_gets_another_name(writer, volume, scene):
    import mrml_scene as m
    from SAMedSlicerLib.VoxelArrays import ijkToRasOf, imageOf

    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    drawn = np.zeros((6, 9, 10), np.uint8)
    drawn[2, 3, 4] = 1
    segmentation.AddSegmentFromBinaryLabelmapRepresentation(imageOf(drawn, ijkToRasOf(volume)), "liver")
    for _ in range(2):
        assert run(writer, boxes(), volume, segmentation) is segmentation
    assert m.names(segmentation) == ["liver", "spleen", "gallbladder", "liver (2)"]
    np.testing.assert_array_equal(masks(segmentation, volume)["liver"], drawn == 1)


def test_a_segmentation_with_segments_of_another_volume_is_left_alone(writer, volume, scene):
    import mrml_scene as m

    other = m.add_volume(scene, (5, 6, 7), m.mirrored(), name="Other")
    segmentation = run(writer, m.random_labels(other), other)
    m.segment_named(segmentation, "liver").SetName("my liver")
    before = masks(segmentation, other)
    result = run(writer, boxes(), volume, segmentation)
    assert result is not segmentation
    assert "in a new segmentation" in writer.notes[0]
    after = masks(segmentation, other)
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)


def test_a_segmentation_under_another_transform_is_left_alone_if_it_holds_the_users_segments(writer, volume, scene):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    m.segment_named(segmentation, "liver").SetName("my liver")
    transform = m.add_linear(scene, m.affine(np.eye(3), (5, 0, 0)))
    m.under(segmentation, transform)
    result = run(writer, boxes(), volume, segmentation)
    assert result is not segmentation
    assert segmentation.GetParentTransformNode() is transform
    assert m.names(segmentation) == ["spleen", "gallbladder", "my liver"]


def test_a_segmentation_with_results_of_another_volume_only_is_used_again(writer, volume, scene):
    import mrml_scene as m

    other = m.add_volume(scene, (5, 6, 7), m.mirrored(), name="Other")
    segmentation = run(writer, m.random_labels(other), other)
    assert run(writer, boxes(), volume, segmentation) is segmentation
    np.testing.assert_array_equal(masks(segmentation, volume)["liver"], boxes() == SYNAPSE["liver"].value)


def test_the_segment_editors_empty_segment_does_not_stand_in_the_way(writer, volume, scene):
    import mrml_scene as m

    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    segmentation.GetSegmentation().AddEmptySegment("Segment_1", "Segment_1")
    assert run(writer, boxes(), volume, segmentation) is segmentation
    assert m.names(segmentation) == ["Segment_1", "spleen", "gallbladder", "liver"]


def test_adding_gives_every_segment_a_name_and_id_of_its_own(writer, volume):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    for _ in range(2):
        assert run(writer, boxes(shift=2), volume, segmentation, replace=False) is segmentation
    assert len(set(m.segment_ids(segmentation))) == 9
    assert m.names(segmentation) == [
        *("spleen", "gallbladder", "liver"),
        *("spleen (2)", "gallbladder (2)", "liver (2)"),
        *("spleen (3)", "gallbladder (3)", "liver (3)"),
    ]
    found = masks(segmentation, volume)
    np.testing.assert_array_equal(found["liver"], boxes() == SYNAPSE["liver"].value)
    np.testing.assert_array_equal(found["liver (3)"], boxes(shift=2) == SYNAPSE["liver"].value)


def test_a_hidden_organ_stays_hidden_and_segments_keep_their_order(writer, volume):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    segmentation.GetSegmentation().AddEmptySegment("mine", "mine")
    liver = segmentation.GetSegmentation().GetSegmentIdBySegmentName("liver")
    segmentation.GetDisplayNode().SetSegmentVisibility(liver, False)
    run(writer, boxes(shift=1), volume, segmentation)
    assert m.names(segmentation) == ["spleen", "gallbladder", "liver", "mine"]
    liver = segmentation.GetSegmentation().GetSegmentIdBySegmentName("liver")
    assert not segmentation.GetDisplayNode().GetSegmentVisibility(liver)


def test_edits_are_known_as_such_after_the_scene_was_saved_and_opened(writer, volume, scene, tmp_path):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    paint(segmentation, "liver", (5, 8, 9))
    ids = segmentation.GetID(), volume.GetID()
    m.save_and_reopen(scene, tmp_path / "Szene ü")
    segmentation, volume = map(scene.GetNodeByID, ids)
    run(writer, boxes(), volume, segmentation)
    assert sorted(m.names(segmentation)) == ["gallbladder", "liver", "liver (edited)", "spleen"]
    assert segmentation.GetAttribute("SAMed.Model") == "tiny"


@pytest.mark.parametrize("crop", [False, True])
def test_untouched_segments_are_known_as_such_after_the_scene_was_saved_and_opened(
    writer, volume, scene, tmp_path, crop
):
    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    segmentation.AddDefaultStorageNode()
    segmentation.GetStorageNode().SetCropToMinimumExtent(crop)
    ids = segmentation.GetID(), volume.GetID()
    m.save_and_reopen(scene, tmp_path)
    segmentation, volume = map(scene.GetNodeByID, ids)
    run(writer, boxes(shift=2), volume, segmentation)
    assert m.names(segmentation) == ["spleen", "gallbladder", "liver"]
    np.testing.assert_array_equal(masks(segmentation, volume)["liver"], boxes(shift=2) == SYNAPSE["liver"].value)


def test_a_surface_for_3d_does_not_count_as_an_edit_and_follows_the_new_result(writer, volume):
    import vtk

    import mrml_scene as m

    segmentation = run(writer, boxes(), volume)
    assert segmentation.CreateClosedSurfaceRepresentation()
    run(writer, boxes(shift=3), volume, segmentation)
    assert m.names(segmentation) == ["spleen", "gallbladder", "liver"]
    surface = vtk.vtkPolyData()
    liver = segmentation.GetSegmentation().GetSegmentIdBySegmentName("liver")
    assert segmentation.GetClosedSurfaceRepresentation(liver, surface)
    centre = np.array(surface.GetCenter())
    np.testing.assert_allclose(centre, (m.oblique() @ [5, 2.5, 2, 1])[:3], atol=0.5)


def test_undo_of_the_scene_still_works(writer, volume, scene):
    import mrml_scene as m

    scene.SetUndoOn()
    try:
        scene.SaveStateForUndo()
        segmentation = run(writer, boxes(), volume)
        scene.SaveStateForUndo()
        run(writer, boxes(shift=2), volume, segmentation)
        scene.Undo()
        scene.Undo()
        assert scene.GetNumberOfUndoLevels() == 0
        assert scene.GetNodeByID(volume.GetID()) is volume
        result = run(writer, boxes(), volume)
        assert m.names(result) == ["spleen", "gallbladder", "liver"]
    finally:
        scene.ClearUndoStack()
        scene.SetUndoOff()
