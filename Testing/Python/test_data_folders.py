"""Datasets in nnU-Net and Decathlon folders: what can be read, what is refused, and what becomes of it in training."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from SAMedLib.data import slice_cache, slices
from SAMedLib.data.folders import label_set_of, list_cases, read_case, write_case
from SAMedLib.data.slices import load_slices
from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import Reporter
from SAMedLib.imaging.volume import Geometry, Volume
from SAMedLib.organs import SYNAPSE, LabelSet

WINDOW = (-125.0, 275.0)
TWO_ORGANS = LabelSet.from_names("two", ["liver", "spleen"])
SHAPE = (4, 10, 12)  # Z, Y, X


@pytest.fixture(autouse=True)
def _own_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMED_HOME", str(tmp_path / "home"))


def scan(seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> tuple[Volume, np.ndarray]:
    rng = np.random.default_rng(seed)
    geometry = Geometry(shape[::-1], (0.8, 0.9, 2.5), (-30.0, 12.0, 7.5))
    array = rng.integers(-1000, 1000, shape).astype(np.int16)
    return Volume(array, geometry, "scan"), rng.integers(0, 3, shape).astype(np.uint8)


@pytest.fixture
def dataset(tmp_path) -> Path:
    for number in range(3):
        write_case(tmp_path / "data", f"case_{number}", *scan(number), TWO_ORGANS)
    return tmp_path / "data"


def rewrite_index(folder: Path, **changes) -> None:
    index = json.loads((folder / "dataset.json").read_text())
    index.update(changes)
    (folder / "dataset.json").write_text(json.dumps({k: v for k, v in index.items() if v is not None}))


def rewrite_labels(folder: Path, case: str, change) -> None:
    path = folder / "labelsTr" / f"{case}.nii.gz"
    sitk.WriteImage(change(sitk.ReadImage(str(path))), str(path))


def test_a_written_case_comes_back_as_it_was(dataset):
    volume, labels = scan(1)
    read, read_labels = read_case(dataset, "case_1")
    np.testing.assert_array_equal(read.array, volume.array)
    np.testing.assert_array_equal(read_labels, labels)
    np.testing.assert_allclose(read.geometry.origin, volume.geometry.origin, atol=1e-4)
    assert list_cases(dataset) == ["case_0", "case_1", "case_2"]
    assert label_set_of(dataset).names == ("liver", "spleen")
    assert label_set_of(dataset)["liver"].code == SYNAPSE["liver"].code


def test_the_index_is_what_nnunet_reads(dataset):
    index = json.loads((dataset / "dataset.json").read_text())
    assert index["labels"] == {"background": 0, "liver": 1, "spleen": 2}
    assert index["channel_names"] == {"0": "CT"}
    assert index["file_ending"] == ".nii.gz"
    assert index["numTraining"] == 3
    assert (dataset / "imagesTr" / "case_2_0000.nii.gz").is_file()


@pytest.fixture
def decathlon(dataset) -> Path:
    """Of two cases, the second before the first."""
    for path in (dataset / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace("_0000", "")))
    entries = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in ("case_2", "case_0")]
    labels = {"0": "background", "1": "liver", "2": "spleen"}
    rewrite_index(dataset, labels=labels, training=entries, modality={"0": "CT"}, channel_names=None, file_ending=None)
    return dataset


def test_a_decathlon_folder_reads_alike_and_takes_new_cases(decathlon):
    assert list_cases(decathlon) == ["case_2", "case_0"]
    np.testing.assert_array_equal(read_case(decathlon, "case_2")[1], scan(2)[1])
    write_case(decathlon, "new", *scan(5), TWO_ORGANS)
    assert list_cases(decathlon) == ["case_2", "case_0", "new"]
    np.testing.assert_array_equal(read_case(decathlon, "new")[1], scan(5)[1])


def test_cases_that_are_added_at_the_same_time_are_all_listed(decathlon):
    def add(number: int) -> None:
        write_case(decathlon, f"new_{number}", *scan(number), TWO_ORGANS)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(16)))
    assert set(list_cases(decathlon)) == {"case_2", "case_0", *(f"new_{number}" for number in range(16))}


def test_values_with_gaps_become_consecutive_and_stay_so_in_the_files(dataset):
    rewrite_index(dataset, labels={"background": 0, "spleen": 7, "liver": 2})
    for number in range(3):
        rewrite_labels(dataset, f"case_{number}", lambda image: sitk.Cast((image == 1) * 2 + (image == 2) * 7, 1))
    assert label_set_of(dataset).names == ("liver", "spleen")
    np.testing.assert_array_equal(read_case(dataset, "case_0")[1], scan(0)[1])
    write_case(dataset, "new", *scan(9), LabelSet.from_names("any", ["liver", "spleen"]))
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(dataset / "labelsTr" / "new.nii.gz")))
    assert set(np.unique(stored)) == {0, 2, 7}


def test_a_folder_with_one_case_is_a_dataset(tmp_path):
    write_case(tmp_path / "one", "only", *scan(), TWO_ORGANS)
    assert len(load_slices(tmp_path / "one", 16, WINDOW, "LAS")) == SHAPE[0]


def moved_origin(image: sitk.Image) -> sitk.Image:
    image.SetOrigin((0.0, 0.0, 0.0))
    return image


def wider_voxels(image: sitk.Image) -> sitk.Image:
    image.SetSpacing((1.0, 1.0, 1.0))
    return image


def turned_axes(image: sitk.Image) -> sitk.Image:
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    return image


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image[:, :, :3], "size 12 x 10 x 4 against 12 x 10 x 3"),
        (moved_origin, "origin -30 x 12 x 7.5 against 0 x 0 x 0 mm"),
        (wider_voxels, "spacing 0.8 x 0.9 x 2.5 against 1 x 1 x 1 mm"),
        (turned_axes, "orientation (LPS|LAS|RAS|RPS|LAI) against"),
        (lambda image: image + 2, r"hold the value 3, 4, but dataset.json names only 1 liver, 2 spleen"),
    ],
)
def test_labels_that_do_not_fit_are_refused_naming_the_case_and_the_difference(dataset, change, message):
    rewrite_labels(dataset, "case_1", change)
    with pytest.raises(SAMedError, match=message) as error:
        load_slices(dataset, 16, WINDOW, "LAS")
    assert "Case case_1" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"background": 0}}, "background only"),
        ({"labels": {"background": 0, "whole": [1, 2]}}, "region"),
        ({"labels": {"background": 0, "liver": 1, "spleen": 1}}, "gives the value 1 to both"),
        ({"labels": {"background": 0, "liver": "one"}}, "whole number"),
        ({"labels": {"background": 0, "liver": 300}}, "0 to 255"),
        ({"labels": {"background": 0, "liver": 1, "ignore": 2}}, "ignore"),
        ({"labels": None}, "names no labels"),
        ({"channel_names": {"0": "T1", "1": "T2"}}, "2 channels"),
        ({"training": [{"image": "a"}]}, "needs image and label"),
        ({"training": 2 * [{"image": "imagesTr/case_0.nii.gz", "label": "labelsTr/case_0.nii.gz"}]}, "case_0 twice"),
        (
            {"training": [{"image": "imagesTr/x.nii.gz", "label": "labelsTr/x.nii.gz"}]},
            "scan of case x.*does not exist",
        ),
    ],
)
def test_an_index_that_cannot_be_used_says_why(dataset, changes, message):
    rewrite_index(dataset, **changes)
    with pytest.raises(SAMedError, match=message):
        list_cases(dataset)


def test_missing_files_are_named(dataset):
    (dataset / "labelsTr" / "case_1.nii.gz").unlink()
    with pytest.raises(SAMedError, match="no labels for case case_1"):
        list_cases(dataset)
    (dataset / "imagesTr" / "case_1_0000.nii.gz").unlink()
    (dataset / "imagesTr" / "case_2_0000.nii.gz").unlink()
    with pytest.raises(SAMedError, match="scan of case case_2"):
        list_cases(dataset)


def test_a_folder_that_is_no_dataset_says_what_a_dataset_is(tmp_path):
    with pytest.raises(SAMedError, match=r"neither train_npz .* nor dataset.json"):
        load_slices(tmp_path, 16, WINDOW, "LAS")
    (tmp_path / "dataset.json").write_text("{broken")
    with pytest.raises(SAMedError, match="not readable JSON"):
        load_slices(tmp_path, 16, WINDOW, "LAS")


@pytest.mark.parametrize(
    ("name", "label_set", "change", "message"),
    [
        ("case_0", TWO_ORGANS, lambda labels: labels, "already holds a case 'case_0'"),
        ("../up", TWO_ORGANS, lambda labels: labels, "cannot name a case"),
        ("new", SYNAPSE, lambda labels: labels, "has the labels liver, spleen"),
        ("new", TWO_ORGANS, lambda labels: labels + 1, "labels run from 1 to 3"),
        ("new", TWO_ORGANS, lambda labels: labels[1:], "do not fit a scan"),
    ],
)
def test_a_case_that_does_not_fit_is_not_added(dataset, name, label_set, change, message):
    before = sorted(path for path in dataset.rglob("*"))
    volume, labels = scan(3)
    with pytest.raises(SAMedError, match=message):
        write_case(dataset, name, volume, change(labels), label_set)
    assert sorted(path for path in dataset.rglob("*")) == before


def test_a_case_can_replace_the_one_with_its_name(dataset):
    write_case(dataset, "case_0", *scan(8), TWO_ORGANS, overwrite=True)
    np.testing.assert_array_equal(read_case(dataset, "case_0")[1], scan(8)[1])
    assert len(list_cases(dataset)) == 3


def test_other_peoples_folders_are_not_made_into_datasets(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SAMedError, match="other files"):
        write_case(tmp_path, "case", *scan(), TWO_ORGANS)


def test_slices_are_turned_windowed_and_zoomed_as_published(dataset):
    loaded = load_slices(dataset, 16, WINDOW, "LAS")
    volume, labels = scan(1)
    image = np.clip((volume.array[2, ::-1].astype(np.float32) + 125) / 400, 0, 1)  # written LPS: rows flip
    row = SHAPE[0] + 2
    factors = (16 / 10, 16 / 12)
    np.testing.assert_allclose(loaded.images[row], ndimage.zoom(image, factors, order=3), atol=2e-6)
    np.testing.assert_array_equal(loaded.labels[row], ndimage.zoom(labels[2, ::-1], factors, order=0))
    assert loaded.images.dtype == np.float32
    assert loaded.labels.dtype == np.uint8
    assert loaded.cases[row] == "case_1"


def test_the_orientation_of_the_file_does_not_change_the_slices(tmp_path):
    volume, labels = scan()
    write_case(tmp_path / "a", "case", volume, labels, TWO_ORGANS)
    size = np.array(volume.geometry.size)
    far = volume.geometry.ijk_to_lps() @ np.append(size - 1, 1)
    turned = Geometry(volume.geometry.size, volume.geometry.spacing, tuple(far[:3]), (-1, 0, 0, 0, -1, 0, 0, 0, -1))
    flip = (slice(None, None, -1),) * 3
    write_case(tmp_path / "b", "case", Volume(volume.array[flip], turned, "scan"), labels[flip], TWO_ORGANS)
    a, b = (load_slices(tmp_path / name, 16, WINDOW, "LAS") for name in "ab")
    np.testing.assert_array_equal(a.images, b.images)
    np.testing.assert_array_equal(a.labels, b.labels)


@pytest.mark.parametrize("names", [["case_1"], ["case_2", "case_0"], ["case_0"], []])
def test_a_set_is_split_by_case_without_a_copy(dataset, names):
    whole, loaded = (load_slices(dataset, 12, WINDOW, "LAS") for _ in range(2))
    rest, chosen = loaded.split(names)
    assert chosen.case_names == sorted(names)
    assert rest.case_names == [name for name in whole.case_names if name not in names]
    for part in (rest, chosen):
        rows = np.isin(whole.cases, part.case_names)
        np.testing.assert_array_equal(part.images, whole.images[rows])
        np.testing.assert_array_equal(part.labels, whole.labels[rows])
        assert part.cases == [name for name, row in zip(whole.cases, rows, strict=True) if row]
        assert np.shares_memory(part.images, loaded.images) or not len(part)
    with pytest.raises(SAMedError, match="no case 'nobody'"):
        loaded.split(["nobody"])


def test_a_set_that_memory_cannot_hold_is_refused_before_the_system_kills(dataset, monkeypatch):
    monkeypatch.setattr(slices, "available_bytes", lambda: 5000)
    with pytest.raises(SAMedError, match=r"3 cases would take about 0.0 GB .* fewer cases, or smaller slices"):
        load_slices(dataset, 12, WINDOW, "LAS", cache=False)
    monkeypatch.setattr(slices, "available_bytes", lambda: 3 * 4 * 12 * 12 * 5)
    assert len(load_slices(dataset, 12, WINDOW, "LAS", cache=False)) == 12


def test_a_second_start_reads_the_cache_until_a_file_changes(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "_SLOW_SECONDS", 0.0)
    first = load_slices(dataset, 12, WINDOW, "LAS")
    second = load_slices(dataset, 12, WINDOW, "LAS")
    assert isinstance(second.images, np.memmap)
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.cases == second.cases
    second.images[0] = 5  # what training does to its slices must not reach the file
    write_case(dataset, "case_0", *scan(8), TWO_ORGANS, overwrite=True)
    changed = load_slices(dataset, 12, WINDOW, "LAS")
    assert not np.array_equal(changed.labels, first.labels)
    assert len(list((tmp_path / "home" / "slices").iterdir())) == 2


def test_a_damaged_cache_is_read_anew(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "_SLOW_SECONDS", 0.0)
    first = load_slices(dataset, 12, WINDOW, "LAS")
    entry = next((tmp_path / "home" / "slices").iterdir())
    (entry / "labels.npy").write_bytes(b"\x93NUMPY broken")
    np.testing.assert_array_equal(load_slices(dataset, 12, WINDOW, "LAS").labels, first.labels)


def test_the_cache_keeps_only_what_was_used_last(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "_SLOW_SECONDS", 0.0)
    monkeypatch.setattr(slice_cache, "_ENTRIES_KEPT", 2)
    for size in (8, 9, 10, 11):
        load_slices(dataset, size, WINDOW, "LAS")
    assert len(list((tmp_path / "home" / "slices").iterdir())) == 2


def test_a_cache_that_cannot_be_written_does_not_stop_training(dataset, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(slices, "_SLOW_SECONDS", 0.0)
    (tmp_path / "home").write_text("a file where the folder should be")
    assert len(load_slices(dataset, 12, WINDOW, "LAS", Reporter())) == 3 * SHAPE[0]
    assert "could not be kept" in capfd.readouterr().err


def test_loading_stops_when_the_user_asks(dataset, tmp_path):
    (tmp_path / "stop").touch()
    with pytest.raises(Cancelled):
        load_slices(dataset, 12, WINDOW, "LAS", Reporter(stop_file=tmp_path / "stop", silent=True))


def test_links_to_files_elsewhere_keep_their_own_names(dataset, tmp_path):
    elsewhere = tmp_path / "store"
    elsewhere.mkdir()
    for number, path in enumerate(
        [*sorted((dataset / "imagesTr").iterdir()), *sorted((dataset / "labelsTr").iterdir())]
    ):
        shutil.move(path, elsewhere / f"{number}.nii.gz")
        path.symlink_to(elsewhere / f"{number}.nii.gz")
    rewrite_index(dataset, file_ending=None)
    assert list_cases(dataset) == ["case_0", "case_1", "case_2"]


def test_real_scans_of_any_orientation_face_the_same_way(shared_data, tmp_path):
    from SAMedLib.imaging.volume import read_labels, read_volume

    plain = read_volume(shared_data / "example_ct/ct.nii.gz"), read_labels(shared_data / "example_ct/organs8.nii.gz")
    contrast = (
        read_volume(shared_data / "example_ct_dicom"),
        read_labels(shared_data / "example_ct_dicom_labels/organs8.nii.gz"),
    )
    for name, (volume, labels) in (("plain", plain), ("contrast", contrast)):
        write_case(tmp_path / "data", name, volume, labels.array, SYNAPSE)
    loaded = load_slices(tmp_path / "data", 64, WINDOW, "LAS")
    for case in loaded.case_names:
        rows = np.array(loaded.cases) == case
        images, labels = loaded.images[rows], loaded.labels[rows]
        columns = {organ: np.argwhere(labels == SYNAPSE[organ].value)[:, 2].mean() for organ in ("liver", "spleen")}
        assert columns["liver"] < columns["spleen"], case  # column 0 is the patient's right
        bone_row = np.argwhere(images > 0.99)[:, 1].mean()
        assert bone_row < np.argwhere(labels == SYNAPSE["stomach"].value)[:, 1].mean()  # row 0 is posterior
