"""Which volumes go to the model, what the user is told about the others, and the file that is made of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import SimpleITK as sitk

from SAMedLib.errors import SAMedError


def ct(shape=(5, 20, 20)) -> np.ndarray:
    """Air, fat and soft tissue with noise."""
    rng = np.random.default_rng(0)
    values = rng.normal(40, 30, shape)
    values[:, :6] = rng.normal(-980, 15, values[:, :6].shape)
    values[:, 6:9] = rng.normal(-100, 20, values[:, 6:9].shape)
    return values.astype(np.int16)


@pytest.fixture
def check(scene):
    from mrml_scene import add_volume
    from SAMedSlicerLib.InputVolume import checkVolume

    def check(voxels):
        return checkVolume(add_volume(scene, voxels, name="Scan 7"))

    return check


@pytest.fixture
def refusal(scene):
    from SAMedSlicerLib.InputVolume import VolumeProblem, checkVolume

    def refusal(node) -> str:
        with pytest.raises(VolumeProblem) as caught:
            checkVolume(node)
        assert_is_a_sentence(str(caught.value))
        return str(caught.value)

    return refusal


def assert_is_a_sentence(text: str) -> None:
    assert re.fullmatch(r"['A-Z][^\n]*\.", text), text
    assert not re.search(r"Traceback|Error\b|vtk|numpy|None|dtype", text), text


def test_a_ct_is_accepted_without_a_word(check):
    assert check(ct()) == []
    assert check(ct().astype(np.float32)) == []
    assert check(ct((1, 20, 20))) == []


def test_no_volume_asks_for_one(refusal):
    assert "Choose the CT" in refusal(None)


def test_what_holds_no_image_is_refused(scene, refusal):
    from mrml_scene import add_volume

    assert "no image" in refusal(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Scan 7"))
    assert "'Scan 7'" in refusal(add_volume(scene, np.zeros((0, 4, 5), np.int16), name="Scan 7"))


def test_colours_and_vectors_are_refused(scene, refusal):
    from mrml_scene import set_voxels

    for class_name in ("vtkMRMLVectorVolumeNode", "vtkMRMLScalarVolumeNode"):
        node = scene.AddNewNodeByClass(class_name, "Scan 7")
        set_voxels(node, np.zeros((2, 3, 4, 3), np.uint8))
        assert "3 values per voxel" in refusal(node)


def test_time_points_in_one_volume_are_refused(scene, refusal):
    from mrml_scene import set_voxels

    node = scene.AddNewNodeByClass("vtkMRMLDiffusionWeightedVolumeNode", "Scan 7")
    set_voxels(node, np.random.default_rng(0).integers(0, 9, (2, 3, 4, 12)).astype(np.int16))
    assert "a single time point" in refusal(node)


def test_a_sequence_asks_for_a_frame(scene, refusal):
    assert "one of its frames" in refusal(scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Scan 7"))


def test_label_maps_are_refused_also_when_they_are_loaded_as_volumes(scene, refusal):
    from mrml_scene import add_volume, set_voxels

    labels = np.random.default_rng(0).integers(0, 9, (4, 5, 6))
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Scan 7")
    set_voxels(node, labels.astype(np.uint8))
    assert "is a label map" in refusal(node)
    assert "looks like a label map" in refusal(add_volume(scene, labels.astype(np.int16), name="Scan 7"))


def test_a_constant_volume_is_refused(scene, refusal):
    from mrml_scene import add_volume

    assert "same value -1000 everywhere" in refusal(add_volume(scene, np.full((3, 4, 5), -1000, np.int16)))


def test_nothing_but_nan_is_refused_and_some_nan_is_air(scene, check, refusal):
    from mrml_scene import add_volume

    assert "every voxel is NaN" in refusal(add_volume(scene, np.full((3, 4, 5), np.nan, np.float32)))
    voxels = ct().astype(np.float32)
    voxels[0, 0, :3] = np.nan, np.inf, -np.inf
    (warning,) = check(voxels)
    assert "3 voxels" in warning
    assert_is_a_sentence(warning)


def test_a_grid_without_extent_in_space_is_refused(scene, refusal):
    from mrml_scene import add_volume, affine

    flat = affine(np.diag([1.0, 1.0, 0.0]))
    assert "spacing" in refusal(add_volume(scene, ct(), flat))


@pytest.mark.parametrize(
    ("voxels", "said"),
    [
        (lambda: (ct() + 1024).astype(np.uint16), "1024 too high"),
        (lambda: np.abs(np.random.default_rng(0).normal(400, 250, (5, 20, 20))).astype(np.uint16), "MR image"),
        (lambda: np.random.default_rng(0).integers(0, 256, (5, 20, 20)).astype(np.uint8), "like a picture"),
        (lambda: np.random.default_rng(0).normal(0, 0.3, (5, 20, 20)).clip(-1, 1), "normalised"),
        (lambda: np.random.default_rng(0).random((5, 20, 20)), "to 1 only, so it is normalised"),
        (lambda: np.random.default_rng(0).normal(0, 1, (5, 20, 20)) + np.eye(20) * 9, "where a CT has fat and air"),
        (lambda: ct() * 1e6, "from -1.02e+09 to 1.31e+08, far beyond"),
    ],
)
def test_what_is_not_in_hounsfield_units_is_doubted_but_not_refused(check, voxels, said):
    (warning,) = check(voxels())
    assert said in warning
    assert_is_a_sentence(warning)


def test_dicom_says_that_it_is_an_mr(scene):
    import slicer

    from mrml_scene import add_volume
    from SAMedSlicerLib.Hierarchy import itemOf
    from SAMedSlicerLib.InputVolume import checkVolume

    node = add_volume(scene, ct())
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    hierarchy.SetItemAttribute(itemOf(node), "DICOM.Modality", "CT")
    assert checkVolume(node) == []
    hierarchy.SetItemAttribute(itemOf(node), "DICOM.Modality", "MR")
    (warning,) = checkVolume(node)
    assert "is MR, not CT" in warning


@pytest.mark.parametrize(
    "voxels",
    [
        ct(),
        ct() + 1024,
        np.arange(60).reshape(3, 4, 5) % 9,
        np.arange(60).reshape(3, 4, 5) % 9 + 0.25,
        np.arange(300).reshape(3, 10, 10) % 64,
        np.arange(300).reshape(3, 10, 10) % 65,
        np.full((3, 4, 5), 7.0),
        np.full((3, 4, 5), np.nan),
        np.where(np.arange(60).reshape(3, 4, 5) == 3, np.nan, 5.0),
        np.full((3, 4, 5), np.inf),
        np.linspace(0, 1, 60).reshape(3, 4, 5),
    ],
    ids=lambda voxels: f"{voxels.dtype}, {voxels.min():g} to {voxels.max():g}, {voxels.size}",
)
def test_the_panel_refuses_what_the_command_refuses_and_nothing_else(check, voxels):
    from SAMedLib.imaging.checks import as_hounsfield, intensity_notes
    from SAMedSlicerLib.InputVolume import VolumeProblem

    voxels = voxels.astype(np.float32)
    try:
        intensity_notes(as_hounsfield(voxels, "scan")[0], "scan")
        refused = False
    except SAMedError:
        refused = True
    try:
        check(voxels)
        assert not refused
    except VolumeProblem:
        assert refused


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_the_file_has_the_same_voxels_whatever_their_type(scene, tmp_path, dtype):
    from mrml_scene import add_volume, oblique
    from SAMedSlicerLib.InputVolume import writeVolume

    limits = (-128, 128) if dtype == "int8" else (0, 256) if dtype == "uint8" else (0, 40000)
    voxels = np.random.default_rng(0).integers(*limits, (4, 5, 6)).astype(dtype)
    if dtype.startswith("float"):
        voxels -= 1000.123
    writeVolume(add_volume(scene, voxels, oblique()), tmp_path / "scan.nrrd")
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "scan.nrrd")))
    np.testing.assert_array_equal(read, voxels)
    if dtype not in ("int8", "int64"):
        assert read.dtype == voxels.dtype


def geometries():
    from mrml_scene import axis_orientations, mirrored, oblique, sheared

    return [np.eye(4), oblique(), mirrored(), sheared(), *axis_orientations()]


def test_the_file_lies_where_the_volume_lies_in_every_geometry(scene, tmp_path):
    from mrml_scene import add_volume
    from SAMedSlicerLib.InputVolume import writeVolume

    for matrix in geometries():
        writeVolume(add_volume(scene, (3, 4, 5), matrix), tmp_path / "scan.nrrd")
        image = sitk.ReadImage(str(tmp_path / "scan.nrrd"))
        for index in ((0, 0, 0), (4, 0, 0), (0, 3, 0), (0, 0, 2), (4, 3, 2)):
            right, anterior, superior, _ = matrix @ [*index, 1]
            np.testing.assert_allclose(
                image.TransformIndexToPhysicalPoint(index), (-right, -anterior, superior), atol=1e-9
            )


def test_a_transform_above_the_volume_is_not_in_the_file(scene, tmp_path):
    from mrml_scene import add_linear, add_volume, affine, oblique, rotation, under
    from SAMedSlicerLib.InputVolume import writeVolume

    volume = under(add_volume(scene, matrix=oblique()), add_linear(scene, affine(rotation(0.1, 0.2, 0.3), (5, 6, 7))))
    writeVolume(volume, tmp_path / "scan.nrrd")
    origin = sitk.ReadImage(str(tmp_path / "scan.nrrd")).GetOrigin()
    np.testing.assert_allclose(origin, oblique()[:3, 3] * [-1, -1, 1])


def test_a_volume_whose_voxel_indices_do_not_start_at_0_keeps_its_place(scene, tmp_path):
    from mrml_scene import add_volume, oblique
    from SAMedSlicerLib.InputVolume import writeVolume

    volume = add_volume(scene, (3, 4, 5), oblique())
    volume.GetImageData().SetExtent(2, 6, 1, 4, 3, 5)
    writeVolume(volume, tmp_path / "scan.nrrd")
    image = sitk.ReadImage(str(tmp_path / "scan.nrrd"))
    np.testing.assert_allclose(image.GetOrigin(), (oblique() @ [2, 1, 3, 1])[:3] * [-1, -1, 1])


def test_folders_and_files_may_have_any_name(scene, tmp_path):
    from mrml_scene import add_volume
    from SAMedSlicerLib.InputVolume import writeVolume

    folder = tmp_path / "Müller, 腹部 CT (1)"
    folder.mkdir()
    writeVolume(add_volume(scene), folder / "größe 肝.nrrd")
    assert (folder / "größe 肝.nrrd").read_bytes().startswith(b"NRRD")


def test_the_file_is_not_compressed(scene, tmp_path):
    from mrml_scene import add_volume
    from SAMedSlicerLib.InputVolume import writeVolume

    writeVolume(add_volume(scene), tmp_path / "scan.nrrd")
    assert b"encoding: raw" in (tmp_path / "scan.nrrd").read_bytes()


def test_a_folder_that_cannot_be_written_into_is_named(scene, tmp_path):
    from mrml_scene import add_volume
    from SAMedSlicerLib.InputVolume import writeVolume

    with pytest.raises(SAMedError, match=r"absent.scan\.nrrd cannot be written"):
        writeVolume(add_volume(scene), tmp_path / "absent" / "scan.nrrd")


def test_a_frame_of_a_sequence_is_written_like_a_volume(scene, tmp_path):
    from mrml_scene import add_volume, oblique, voxels_of
    from SAMedSlicerLib.InputVolume import checkVolume, writeVolume

    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "4D CT")
    volume = add_volume(scene, matrix=oblique())
    frame = sequence.SetDataNodeAtValue(volume, "0")
    assert checkVolume(frame) == []
    writeVolume(frame, tmp_path / "scan.nrrd")
    image = sitk.ReadImage(str(tmp_path / "scan.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), voxels_of(volume))
    np.testing.assert_allclose(image.GetOrigin(), oblique()[:3, 3] * [-1, -1, 1])
