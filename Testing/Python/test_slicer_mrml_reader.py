"""Segments that people draw, as labels on the voxels of a volume."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE, LabelSet


@pytest.fixture
def reader(scene):
    from SAMedSlicerLib.SegmentationReader import SegmentationReader

    return SegmentationReader()


@pytest.fixture
def write(scene):
    from SAMedSlicerLib.SegmentationWriter import SegmentationWriter

    def write(labels, volume, segmentation=None):
        return SegmentationWriter().write(labels, volume, SYNAPSE, segmentation, name="drawn")

    return write


def organs() -> np.ndarray:
    labels = np.zeros((14, 26, 24), np.uint8)
    labels[2:10, 4:18, 3:17] = SYNAPSE["liver"].value
    labels[5:9, 6:12, 6:11] = SYNAPSE["gallbladder"].value
    labels[4:12, 18:25, 8:20] = SYNAPSE["spleen"].value
    return labels


def add_segment(segmentation, name: str, mask: np.ndarray, matrix: np.ndarray) -> str:
    import mrml_scene as m
    from SAMedSlicerLib.VoxelArrays import imageOf

    return segmentation.AddSegmentFromBinaryLabelmapRepresentation(
        imageOf(mask.astype(np.uint8), m.matrix_of(matrix)), name
    )


@pytest.fixture
def place(scene):
    """A transform node by name; the moves stay within what the volumes cover."""
    import mrml_scene as m

    centre = np.array([105.0, -45.0, -885.0])
    turn = m.rotation(0.05, -0.04, 0.1)
    move = m.affine(turn, tuple(centre - turn @ centre + (1.5, -2.0, 3.0)))
    shear = np.array([[1, 0.15, 0], [0, 1.1, 0], [0, 0, 0.95]])
    return {
        "none": lambda: None,
        "linear": lambda: m.add_linear(scene, move),
        "sheared": lambda: m.add_linear(scene, m.affine(shear, tuple(centre - shear @ centre))),
        "grid": lambda: m.add_grid(scene, seed=3),
        "nested": lambda: m.add_linear(scene, move, parent=m.add_grid(scene, seed=4)),
        "b-spline": lambda: m.add_bspline(scene, seed=5),
    }


@pytest.mark.parametrize("of_volume", ["none", "linear", "sheared", "grid", "nested", "b-spline"])
@pytest.mark.parametrize("of_segments", ["none", "linear", "sheared", "grid", "nested", "b-spline"])
def test_segments_on_another_grid_and_under_another_transform_land_where_they_are_seen(
    scene, reader, write, place, of_segments, of_volume
):
    import mrml_scene as m

    drawn_on = m.under(m.add_volume(scene, organs().shape, m.oblique()), place[of_segments]())
    segmentation = write(organs(), drawn_on)
    finer = m.affine(m.rotation(0.25, -0.1, 0.4) @ np.diag([0.9, -0.7, 2.1]), (99.0, -38.0, -902.0))
    volume = m.under(m.add_volume(scene, (18, 40, 26), finer), place[of_volume]())
    mapping = {segment.id: SYNAPSE[segment.name].value for segment in reader.segmentsOf(segmentation)}
    wanted, clear = m.nearest_labels(organs(), drawn_on, volume)
    assert (wanted > 0).sum() > 500
    labels = reader.labels(segmentation, volume, mapping)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[clear], wanted[clear])
    assert clear.mean() > 0.9


@pytest.mark.parametrize("transform", ["none", "linear", "grid"])
def test_segments_written_on_a_volume_come_back_exactly(scene, reader, write, place, transform):
    import mrml_scene as m

    volume = m.under(m.add_volume(scene, matrix=m.sheared()), place[transform]())
    labels = m.random_labels(volume)
    segmentation = write(labels, volume)
    np.testing.assert_array_equal(
        reader.labels(segmentation, volume, reader.match(reader.segmentsOf(segmentation), SYNAPSE)), labels
    )
    assert reader.notes == []


def test_segments_that_are_not_mapped_are_background(scene, reader, write):
    import mrml_scene as m

    volume = m.add_volume(scene, organs().shape)
    segmentation = write(organs(), volume)
    labels = reader.labels(segmentation, volume, {"liver": 200})
    np.testing.assert_array_equal(labels, np.where(organs() == SYNAPSE["liver"].value, 200, 0))
    assert not reader.labels(segmentation, volume, {}).any()


def test_where_segments_overlap_the_later_label_wins_and_a_note_says_so(scene, reader):
    import mrml_scene as m

    volume = m.add_volume(scene, (6, 8, 9), m.oblique())
    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    masks = np.zeros((3, 6, 8, 9), bool)
    masks[0, 1:4], masks[1, 3:6], masks[2, :, 2:4] = True, True, True
    ids = [add_segment(segmentation, name, mask, m.oblique()) for name, mask in zip("abc", masks, strict=True)]
    labels = reader.labels(segmentation, volume, {ids[1]: 1, ids[2]: 2, ids[0]: 1})
    wanted = np.zeros((6, 8, 9), np.uint8)
    for index, value in ((1, 1), (2, 2), (0, 1)):
        wanted[masks[index]] = value
    np.testing.assert_array_equal(labels, wanted)
    disputed = int((masks[2] & (masks[0] | masks[1])).sum())
    assert reader.notes == [f"{disputed} voxels of 'Mine' lie in several segments; the later label has them."]


def test_segments_that_are_surfaces_only_are_read(scene, reader, write):
    import mrml_scene as m

    volume = m.add_volume(scene, (20, 30, 30), m.oblique() @ np.diag([1, 1, 0.3, 1]))
    labels = np.zeros((20, 30, 30), np.uint8)
    labels[5:15, 8:22, 8:22] = SYNAPSE["liver"].value
    segmentation = write(labels, volume)
    segmentation.CreateClosedSurfaceRepresentation()
    segmentation.SetSourceRepresentationToClosedSurface()
    segmentation.RemoveBinaryLabelmapRepresentation()
    found = reader.labels(segmentation, volume, {"liver": SYNAPSE["liver"].value}) > 0
    both = 2 * (found & (labels > 0)).sum() / (found.sum() + (labels > 0).sum())
    assert both > 0.9
    assert not segmentation.GetSegmentation().ContainsRepresentation("Binary labelmap"), "the node is as it was"


def test_reading_leaves_the_segmentation_as_it_is(scene, reader, write):
    import mrml_scene as m

    volume = m.add_volume(scene, organs().shape)
    segmentation = write(organs(), volume)
    modified = segmentation.GetSegmentation().GetMTime()
    reader.labels(segmentation, volume, {"liver": 1, "spleen": 2})
    assert segmentation.GetSegmentation().GetMTime() == modified
    assert scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == 0


def test_a_segment_that_is_gone_is_named(scene, reader, write):
    import mrml_scene as m

    volume = m.add_volume(scene, organs().shape)
    with pytest.raises(SAMedError, match="'drawn' has no segment 'tumour' any more"):
        reader.labels(write(organs(), volume), volume, {"tumour": 1})


def test_a_label_file_has_the_volumes_voxels_and_place(scene, reader, tmp_path):
    import mrml_scene as m
    from SAMedLib.imaging.volume import read_labels, read_volume
    from SAMedSlicerLib.InputVolume import writeVolume

    folder = tmp_path / "Bücher ö"
    folder.mkdir()
    for matrix in (m.oblique(), m.mirrored(), m.sheared()):
        volume = m.add_volume(scene, matrix=matrix)
        labels = m.random_labels(volume)
        reader.write(folder / "labels.nrrd", labels, volume)
        writeVolume(volume, folder / "scan.nrrd")
        read = read_labels(folder / "labels.nrrd")
        np.testing.assert_array_equal(read.array, labels)
        assert read.geometry == read_volume(folder / "scan.nrrd").geometry
    assert sitk.ReadImage(str(folder / "labels.nrrd")).GetPixelID() == sitk.sitkUInt8


def segment(name: str, code: str = "", modifier: str = "", scheme: str = "SCT", **more):
    from SAMedSlicerLib.SegmentInfo import SegmentInfo

    return SegmentInfo(
        id=more.pop("id", name), name=name, code=code, modifier=modifier, scheme=scheme if code else "", **more
    )


LEFT, RIGHT, KIDNEY, LIVER, TISSUE = "7771000", "24028007", "64033007", "10200004", "85756007"


@pytest.mark.parametrize(
    ("name", "code", "modifier", "organ"),
    [
        # codes first, whatever the name is
        ("Segment_1", LIVER, "", "liver"),
        ("Segment_1", KIDNEY, LEFT, "left kidney"),
        ("right kidney", KIDNEY, LEFT, "left kidney"),
        # then names, as other software writes them
        ("Liver", TISSUE, "", "liver"),
        ("liver", "", "", "liver"),
        ("kidney_left", "", "", "left kidney"),
        ("Kidney-L", "", "", "left kidney"),
        ("LeftKidney", TISSUE, "", "left kidney"),
        ("RT KIDNEY", "", "", "right kidney"),
        ("Left Kidneys", "", "", "left kidney"),
        ("gall bladder", "", "", "gallbladder"),
        ("Gall_Bladder", "", "", "gallbladder"),
        ("left kidney", KIDNEY, "", "left kidney"),
        ("pancreas", "", "", "pancreas"),
        # a kidney is not one side's
        ("kidney", "", "", None),
        ("Kidneys", KIDNEY, "", None),
        ("left and right kidney", "", "", None),
        ("kidneys left right", KIDNEY, "", None),
        # names that the codes contradict
        ("liver", "4147007", "", None),
        ("left kidney", LIVER, "", "liver"),
        # and what is no organ at all
        ("Segment_1", TISSUE, "", None),
        ("liver lesion", "", "", None),
        ("bladder", "", "", None),
        ("", "", "", None),
    ],
)
def test_segments_are_matched_by_code_then_by_name(reader, name, code, modifier, organ):
    found = reader.match([segment(name, code, modifier, id="one")], SYNAPSE)
    assert found == ({} if organ is None else {"one": SYNAPSE[organ].value})


def test_codes_of_another_scheme_do_not_contradict_a_name(reader):
    assert reader.match([segment("liver", "T-62000", scheme="SRT")], SYNAPSE) == {"liver": SYNAPSE["liver"].value}


def test_labels_without_codes_are_matched_by_name(reader):
    labels = LabelSet.from_names("own", ["Left lung", "tumour"])
    segments = [segment("lung_left", "39607008", LEFT), segment("tumours"), segment("liver", LIVER)]
    assert reader.match(segments, labels) == {"lung_left": 1, "tumours": 2}


def test_of_several_livers_the_one_that_a_person_made_is_used_and_a_note_says_so(reader):
    segments = [segment("liver", LIVER, byModel=True), segment("liver (edited)", LIVER)]
    assert reader.match(segments, SYNAPSE) == {"liver (edited)": SYNAPSE["liver"].value}
    assert reader.notes == ["More than one segment is liver ('liver', 'liver (edited)'); 'liver (edited)' is used."]
    assert reader.match(segments[:1], SYNAPSE) == {"liver": SYNAPSE["liver"].value}
    assert reader.notes == []


def test_segments_are_described_as_slicer_shows_them(scene, reader, write):
    import mrml_scene as m

    volume = m.add_volume(scene)
    segmentation = write(m.random_labels(volume), volume)
    drawn = segmentation.GetSegmentation().AddEmptySegment("mine", "Mine", (1.0, 0.5, 0.0))
    by_name = {one.name: one for one in reader.segmentsOf(segmentation)}
    kidney = by_name["left kidney"]
    assert (kidney.id, kidney.scheme, kidney.code, kidney.modifier) == ("left_kidney", "SCT", KIDNEY, LEFT)
    assert kidney.color == (185, 102, 83)
    assert kidney.byModel
    assert (by_name["Mine"].id, by_name["Mine"].code) == (drawn, TISSUE)
    assert by_name["Mine"].color == (255, 128, 0)
    assert not by_name["Mine"].byModel
