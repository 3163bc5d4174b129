"""Scans come in as HU with their geometry, labels go out on the same grid, and what is no CT is refused in words."""

from __future__ import annotations

import gzip
import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from made_ct import OBLIQUE, ORIENTATIONS, direction_of, soft_tissue, write_dicom_series, write_dicom_slice, write_image
from SAMedLib.errors import SAMedError
from SAMedLib.imaging.volume import Geometry, Volume, read_labels, read_volume, window, write_labels
from SAMedLib.organs import SYNAPSE, LabelSet

HU = soft_tissue((6, 20, 24))
LABELS = np.random.default_rng(0).integers(0, 9, HU.shape, dtype=np.uint8)
GEOMETRY = Geometry((24, 20, 6), (0.7312345678, 0.81, 2.5000001), (-123.456789, 12.3, 1 / 3), OBLIQUE)
POSITIONS = [-40.0 + 3.0 * k for k in range(6)]


def refusal(path, **options) -> str:
    """The one sentence with which a scan is refused."""
    with pytest.raises(SAMedError) as caught:
        read_volume(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


@pytest.mark.parametrize("extension", [".seg.nrrd", ".nrrd", ".mha", ".nii.gz", ".nii"])
def test_labels_come_back_on_the_very_grid_they_were_written_on(tmp_path, extension):
    path = tmp_path / f"case{extension}"
    write_labels(path, LABELS, GEOMETRY, SYNAPSE)
    back = read_labels(path)
    assert np.array_equal(back.array, LABELS)
    assert back.geometry.size == GEOMETRY.size
    exact = 1e-4 if ".nii" in extension else 1e-12  # NIfTI stores float32
    assert np.abs(back.geometry.ijk_to_lps() - GEOMETRY.ijk_to_lps()).max() <= exact
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_nifti_labels_get_the_scans_own_affine(tmp_path, code):
    scan = write_image(
        tmp_path / "ct.nii.gz", HU, spacing=(0.7, 0.8, 3), origin=(5, 6, 7), direction=direction_of(code)
    )
    write_labels(tmp_path / "organs.nii.gz", LABELS, read_volume(scan).geometry, SYNAPSE)
    affines = [nibabel.load(path).affine for path in (scan, tmp_path / "organs.nii.gz")]
    assert np.array_equal(*affines)


def test_segments_have_names_colours_and_codes(tmp_path):
    path = tmp_path / "case.seg.nrrd"
    write_labels(path, LABELS, GEOMETRY, SYNAPSE, metadata={"model": "tiny", "notice": "Not for patients."})
    segmentation = slicerio.read_segmentation(str(path))
    assert segmentation["voxels"].shape == GEOMETRY.size
    assert np.abs(segmentation["ijkToLPS"] - GEOMETRY.ijk_to_lps()).max() == 0
    assert [segment["name"] for segment in segmentation["segments"]] == list(SYNAPSE.names)
    for segment, label in zip(segmentation["segments"], SYNAPSE, strict=True):
        assert segment["labelValue"] == label.value
        assert segment["layer"] == 0
        assert np.allclose(np.array(segment["color"]) * 255, label.color, atol=1e-3)
        assert segment["terminology"]["category"] == ["SCT", "123037004", "Anatomical Structure"]
        assert segment["terminology"]["type"][:2] == ["SCT", label.code.value]
    assert segmentation["segments"][1]["terminology"]["typeModifier"] == ["SCT", "24028007", "Right"]
    header = sitk.ReadImage(str(path))
    assert json.loads(header.GetMetaData("SAMed")) == {"model": "tiny", "notice": "Not for patients."}


def test_only_the_organs_asked_for_become_segments(tmp_path):
    write_labels(tmp_path / "case.seg.nrrd", LABELS, GEOMETRY, SYNAPSE, present=["liver", "spleen"])
    segments = slicerio.read_segmentation(str(tmp_path / "case.seg.nrrd"))["segments"]
    assert [(segment["name"], segment["labelValue"]) for segment in segments] == [("spleen", 1), ("liver", 5)]


def test_labels_without_a_code_are_written_too(tmp_path):
    write_labels(tmp_path / "case.seg.nrrd", LABELS % 2, GEOMETRY, LabelSet.from_names("own", ["my lesion"]))
    assert slicerio.segment_names(slicerio.read_segmentation(str(tmp_path / "case.seg.nrrd"))) == ["my lesion"]


def test_a_nifti_result_says_what_made_it(tmp_path):
    write_labels(
        tmp_path / "case.nii.gz", LABELS, GEOMETRY, SYNAPSE, metadata={"description": "Not for patients. " * 9}
    )
    text = nibabel.load(tmp_path / "case.nii.gz").header["descrip"].item().decode()
    assert text.startswith("Not for patients.")
    assert len(text) == 79


def test_an_unknown_extension_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(SAMedError, match=r"organs\.stl has no extension for labels.*\.seg\.nrrd"):
        write_labels(tmp_path / "organs.stl", LABELS, GEOMETRY, SYNAPSE)
    with pytest.raises(SAMedError, match="do not fit"):
        write_labels(tmp_path / "organs.mha", LABELS[:3], GEOMETRY, SYNAPSE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [-1, 256, 1.5])
def test_label_maps_with_other_values_are_refused(tmp_path, value):
    path = write_image(tmp_path / "labels.nrrd", np.full((2, 3, 4), value, dtype=np.float32))
    with pytest.raises(SAMedError, match=r"labels\.nrrd is not a label map"):
        read_labels(path)


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha", ".nhdr", ".mhd"])
def test_images_are_read_with_their_geometry_and_named_after_their_file(tmp_path, extension):
    path = write_image(tmp_path / f"scan{extension}", HU, spacing=(0.5, 0.75, 2), origin=(1, 2, 3), direction=OBLIQUE)
    volume = read_volume(path)
    assert volume.name == "scan"
    assert volume.array.dtype == np.int16
    assert volume.notes == ()
    assert np.array_equal(volume.array, HU)
    assert volume.geometry == Geometry.of(sitk.ReadImage(str(path)))


def test_a_real_dicom_series_with_empty_identifiers_lies_where_its_labels_lie(shared_data):
    volume = read_volume(shared_data / "example_ct_dicom")
    labels = read_labels(shared_data / "example_ct_dicom_labels" / "organs8.nii.gz")
    assert volume.geometry == labels.geometry
    liver = volume.array[labels.array == SYNAPSE["liver"].value]
    assert 80 < np.median(liver) < 130  # contrast-enhanced
    assert volume.array.min() == -1024


def test_a_real_dicom_series_is_read_as_simpleitk_reads_it(shared_data):
    folder = shared_data / "c3l-00189"
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    volume = read_volume(folder)
    assert volume.geometry == Geometry.of(image)
    assert np.array_equal(volume.array, sitk.GetArrayFromImage(image))


def test_slices_are_put_in_order_by_position_and_rescaled_to_hu(tmp_path):
    volume = read_volume(write_dicom_series(tmp_path / "scan", HU, POSITIONS))
    assert np.array_equal(volume.array, HU)
    assert volume.geometry.spacing == pytest.approx((0.8, 0.9, 3.0))
    assert volume.geometry.origin == pytest.approx((-12.5, -30.25, -40.0))
    assert volume.name == "scan"


def test_slices_from_head_to_feet_along_a_reversed_normal_keep_their_order(tmp_path):
    tags = {"ImageOrientationPatient": [1, 0, 0, 0, -1, 0]}
    volume = read_volume(write_dicom_series(tmp_path / "scan", HU, POSITIONS, **tags))
    assert np.array_equal(volume.array, HU[::-1])
    assert volume.geometry.direction == (1, 0, 0, 0, -1, 0, 0, 0, -1)


def test_several_series_are_listed_and_chosen_by_number_or_identifier(tmp_path):
    write_dicom_series(tmp_path, HU, POSITIONS, prefix="a")
    write_dicom_series(tmp_path, HU[::-1], POSITIONS, prefix="b", SeriesInstanceUID="1.2.3.5", SeriesNumber=2)
    message = refusal(tmp_path)
    assert "--series: 1 (CT, 6 slices of 24 x 20); 2 (CT, 6 slices of 24 x 20)" in message
    assert "Secret" not in message
    assert np.array_equal(read_volume(tmp_path, series="2").array, HU[::-1])
    assert np.array_equal(read_volume(tmp_path, series="1.2.3.4").array, HU)
    assert "no series '7'" in refusal(tmp_path, series="7")


def test_series_with_the_same_number_are_chosen_by_identifier(tmp_path):
    write_dicom_series(tmp_path, HU, POSITIONS, prefix="a")
    write_dicom_series(tmp_path, HU[::-1], POSITIONS, prefix="b", SeriesInstanceUID="1.2.3.5")
    assert "1.2.3.4 (CT" in refusal(tmp_path)
    assert "1.2.3.5 (CT" in refusal(tmp_path, series="1")


def test_a_scout_beside_the_scan_is_passed_over_with_a_note(tmp_path):
    write_dicom_series(tmp_path, HU, POSITIONS)
    scout = {"SeriesInstanceUID": "1.2.3.9", "SeriesNumber": 9, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    write_dicom_slice(tmp_path / "scout", np.ones((30, 40)), (0, 0, 0), **scout)
    (tmp_path / "notes.txt").write_text("not DICOM")
    volume = read_volume(tmp_path)
    assert np.array_equal(volume.array, HU)
    assert "2 series" in volume.notes[0]


def test_missing_slices_are_refused_and_said_where(tmp_path):
    gap = [*POSITIONS[:3], *(z + 3.0 for z in POSITIONS[3:])]
    message = refusal(write_dicom_series(tmp_path / "scan", HU, gap))
    assert "3.000 mm apart, except between" in message
    assert "6.000 mm" in message


def test_slightly_uneven_slices_are_read_with_a_note(tmp_path):
    uneven = [*POSITIONS[:3], *(z + 0.15 for z in POSITIONS[3:])]
    volume = read_volume(write_dicom_series(tmp_path / "scan", HU, uneven))
    assert "3.150 mm" in volume.notes[0]
    assert volume.geometry.spacing[2] == pytest.approx(3.03)


def test_two_slices_at_one_position_are_refused(tmp_path):
    assert "same position" in refusal(write_dicom_series(tmp_path / "scan", HU, [*POSITIONS[:5], POSITIONS[2]]))


def test_a_tilted_gantry_is_refused_with_its_angle(tmp_path):
    tilt = np.radians(10)
    tags = {"ImageOrientationPatient": [1, 0, 0, 0, np.cos(tilt).round(8), np.sin(tilt).round(8)]}
    assert "tilted gantry (10.0 degrees" in refusal(write_dicom_series(tmp_path / "scan", HU, POSITIONS, **tags))


def test_mixed_sizes_are_refused(tmp_path):
    write_dicom_series(tmp_path, HU, POSITIONS)
    write_dicom_slice(tmp_path / "other", np.ones((10, 24)), (-12.5, -30.25, 0))
    assert "24 x 20 pixels" in refusal(tmp_path)


def test_mixed_orientations_are_refused(tmp_path):
    write_dicom_series(tmp_path, HU, POSITIONS)
    tags = {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}
    write_dicom_slice(tmp_path / "other", np.ones((20, 24)), (-12.5, -30.25, 0), **tags)
    assert "mixes slice orientations" in refusal(tmp_path)


@pytest.mark.parametrize("modality", ["MR", "PT", "US"])
def test_dicom_of_another_modality_is_refused(tmp_path, modality):
    folder = write_dicom_series(tmp_path / "scan", HU, POSITIONS, Modality=modality)
    assert f"is {modality}, not CT" in refusal(folder)
    assert f"is {modality}, not CT" in refusal(folder / "003")


def test_a_single_dicom_slice_is_a_volume(tmp_path):
    folder = write_dicom_series(tmp_path / "scan", HU[:1], [5.0])
    for path in (folder, folder / "003"):
        assert np.array_equal(read_volume(path).array, HU[:1])
    assert "give its folder for the whole series" in read_volume(folder / "003").notes[0]


def test_dicom_without_positions_is_refused(tmp_path):
    folder = write_dicom_series(tmp_path / "scan", HU, POSITIONS, ImagePositionPatient=None)
    with pytest.raises(SAMedError, match="does not say where its slice lies"):
        read_volume(folder)


def test_a_2d_image_is_one_slice(tmp_path):
    assert read_volume(write_image_2d(tmp_path / "slice.mha", HU[3])).array.shape == (1, 20, 24)


def write_image_2d(path, array):
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


def test_a_frame_of_a_4d_file_is_chosen_by_number(tmp_path):
    path = tmp_path / "perfusion.nii.gz"
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(HU), sitk.GetImageFromArray(HU[::-1].copy())]), str(path))
    assert "4 dimensions (24 x 20 x 6 x 2); segment one frame at a time, for example --frame 0" in refusal(path)
    assert "frames 0 to 1; there is no frame 2" in refusal(path, frame=2)
    assert np.array_equal(read_volume(path, frame=1).array, HU[::-1])
    assert "not 4D" in refusal(write_image(tmp_path / "scan.mha", HU), frame=1)


def test_colour_is_refused(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "colour.nrrd"))
    assert "3 values per voxel" in refusal(tmp_path / "colour.nrrd")


def test_photographs_are_refused(tmp_path):
    assert "picture" in refusal(write_image_2d(tmp_path / "screenshot.png", LABELS[0]))


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "report.nii.gz").write_text("findings: none")
    assert "not an image" in refusal(tmp_path / "report.nii.gz")
    assert "does not exist" in refusal(tmp_path / "nothing.nrrd")
    (tmp_path / "empty").mkdir()
    assert "no DICOM image" in refusal(tmp_path / "empty")
    (tmp_path / "zero.nrrd").touch()
    assert "not an image" in refusal(tmp_path / "zero.nrrd")


@pytest.mark.parametrize("extension", [".nrrd", ".mha", ".nii", ".nii.gz"])
def test_a_truncated_file_is_refused(tmp_path, extension):
    path = write_image(tmp_path / f"scan{extension}", HU)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    assert "scan" in refusal(path)


def test_voxels_without_a_value_count_as_air_and_are_noted(tmp_path):
    hu = HU.astype(np.float32)
    hu[1, 2, :3] = np.nan, np.inf, -np.inf
    volume = read_volume(write_image(tmp_path / "scan.nrrd", hu))
    assert volume.array[1, 2, :3].tolist() == [-1024] * 3
    assert volume.notes == (f"{tmp_path / 'scan.nrrd'} has 3 voxels without a finite value; they count as air.",)
    assert "all NaN" in refusal(write_image(tmp_path / "nan.nrrd", np.full_like(hu, np.nan)))


@pytest.mark.parametrize("name", ["nan.nii", "nan.nii.gz"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nifti_voxels_without_a_value_are_air_though_itk_reads_them_as_water(tmp_path, name, dtype):
    hu = HU.astype(dtype)
    hu[1, 2, :3] = np.nan, np.inf, -np.inf
    volume = read_volume(write_image(tmp_path / name, hu))
    assert (volume.array[1, 2, :3] == -1024).all()
    np.testing.assert_array_equal(volume.array[0], hu[0].astype(np.float32))
    assert any("3 voxels without a finite value" in note for note in volume.notes)
    assert "all NaN" in refusal(write_image(tmp_path / name, np.full_like(hu, np.nan)))


@pytest.mark.parametrize(("size", "taken"), [(0.0, 1), (float("nan"), 1), (2.0, 2)])
def test_a_nifti_whose_header_and_affine_disagree_on_the_voxel_size_is_noted(tmp_path, size, taken):
    path = write_image(tmp_path / "scan.nii", HU, spacing=(0.7, 0.8, 3))
    assert read_volume(path).notes == ()
    content = path.read_bytes()
    path.write_bytes(content[:80] + struct.pack("<f", size) + content[84:])
    notes = read_volume(path).notes
    assert len(notes) == 1
    assert f"{taken} x 0.8 x 3 mm in its header and 0.7 x 0.8 x 3 mm in its affine" in notes[0]


def test_a_nifti_whose_voxel_size_would_mirror_the_patient_is_refused(tmp_path):
    path = write_image(tmp_path / "scan.nii", HU, spacing=(0.7, 0.8, 3))
    content = path.read_bytes()
    path.write_bytes(content[:80] + struct.pack("<f", -0.7) + content[84:])
    assert "left and right" in refusal(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_missing_values_are_found_in_the_chosen_frame_in_either_byte_order(tmp_path, order):
    frames = (np.stack([HU, HU]) % 500).astype(f"{order}f4").transpose(3, 2, 1, 0).copy() - 100
    frames[1, 2, 3, 1] = np.nan
    image = nibabel.Nifti1Image(frames, np.eye(4), nibabel.Nifti1Header(endianness=order))
    image.set_data_dtype(np.float32)
    nibabel.save(image, tmp_path / "4d.nii.gz")
    assert read_volume(tmp_path / "4d.nii.gz", frame=0).array.min() >= -100
    array = read_volume(tmp_path / "4d.nii.gz", frame=1).array
    assert np.argwhere(array == -1024).tolist() == [[3, 2, 1]]


def test_images_without_content_are_refused(tmp_path):
    assert "constant (every voxel is -1000)" in refusal(write_image(tmp_path / "flat.nrrd", np.full_like(HU, -1000)))
    assert "label map" in refusal(write_image(tmp_path / "labels.nrrd", LABELS))


def test_values_that_are_not_hounsfield_units_are_noted(tmp_path):
    shifted = read_volume(write_image(tmp_path / "mr.nrrd", (HU - HU.min()).astype(np.uint16)))
    assert "not in Hounsfield units" in shifted.notes[0]
    scaled = read_volume(write_image(tmp_path / "scaled.nrrd", HU.astype(np.float32) / 1000))
    assert "normalised" in scaled.notes[0]


def test_a_nifti_that_does_not_state_its_orientation_is_noted(tmp_path):
    image = nibabel.Nifti1Image(HU.transpose(2, 1, 0), None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    (tmp_path / "lost.nii").write_bytes(image.to_bytes())
    assert "orientation" in read_volume(tmp_path / "lost.nii").notes[0]


@pytest.mark.parametrize(("skew", "fits"), [(0.0002, True), (0.2, False)])
def test_a_nifti_whose_axes_are_almost_perpendicular_is_straightened(tmp_path, skew, fits):
    affine = np.array([[0.8, skew, 0, 1], [0, 0.8, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image(HU.transpose(2, 1, 0), affine)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "skewed.nii.gz")
    if not fits:
        assert "skewed axes (up to" in refusal(tmp_path / "skewed.nii.gz")
        return
    volume = read_volume(tmp_path / "skewed.nii.gz")
    assert np.array_equal(volume.array, HU)
    assert "not quite perpendicular" in volume.notes[0]
    lps = np.diag([-1, -1, 1, 1]) @ affine
    assert np.abs(volume.geometry.ijk_to_lps() - lps).max() < 1e-3


def test_threads_read_almost_perpendicular_niftis_at_once(tmp_path):
    affine = np.array([[0.8, 0.004, 0, 1], [0, 0.8, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1.0]])
    paths = [tmp_path / f"{number}.nii.gz" for number in range(8)]
    for number, path in enumerate(paths):
        image = nibabel.Nifti1Image(HU.transpose(2, 1, 0), affine if number % 2 else np.diag([0.8, 0.8, 3, 1]))
        image.header["qform_code"] = 0
        nibabel.save(image, path)
    with ThreadPoolExecutor(8) as pool:
        volumes = list(pool.map(read_volume, paths * 40))
    assert [any("perpendicular" in note for note in v.notes) for v in volumes] == [False, True] * 160
    assert "ITK_NIFTI_SFORM_PERMISSIVE" not in os.environ


def test_reading_changes_no_input(tmp_path):
    path = write_image(tmp_path / "scan.nii.gz", HU)
    before = gzip.decompress(path.read_bytes())
    read_volume(path)
    assert gzip.decompress(path.read_bytes()) == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_window_scales_to_0_and_1_and_counts_nan_as_air():
    scaled = window(np.array([-1000, -125, 75, 275, 3000, np.nan]))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [0, 0, 0.5, 1, 1, 0]
    assert window(np.array([[0]], dtype=np.int16), 0, 100).tolist() == [[0]]
    with pytest.raises(SAMedError, match="empty"):
        window(np.zeros(1), 100, 100)


def test_a_voxel_has_its_volume():
    assert Volume(HU, GEOMETRY, "x").geometry.voxel_ml == pytest.approx(0.7312345678 * 0.81 * 2.5000001 / 1000)


def test_a_voxel_of_a_tilted_scan_is_smaller_than_its_sides_multiplied():
    tilt = np.radians(20)
    tilted = Geometry((4, 4, 4), (1.0, 2.0, 5.0), direction=(1, 0, 0, 0, 1, np.sin(tilt), 0, 0, np.cos(tilt)))
    assert tilted.voxel_ml == pytest.approx(1 * 2 * 5 * np.cos(tilt) / 1000)
