"""Raw BTCV to prepared slices and volumes, on a small made-up folder of the same shape; and reading them again."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from scipy import ndimage

from SAMedLib.data.slices import load_slices
from SAMedLib.data.synapse import TEST_CASES, TRAIN_CASES, list_test_cases, prepare_synapse, read_test_case
from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import SILENT, Reporter

WINDOW = (-125.0, 275.0)
SIZES = {1: (20, 18, 5), 5: (24, 24, 4), 6: (24, 24, 3), 38: (16, 16, 2)}  # nibabel's order x, y, z
PAPER_LABELS = {1: 1, 2: 2, 3: 3, 4: 4, 6: 5, 7: 6, 8: 7, 11: 8}


def voxels(number: int) -> tuple[np.ndarray, np.ndarray]:
    """HU and BTCV labels [x, y, z] of a made-up case."""
    rng = np.random.default_rng(number)
    shape = SIZES[number]
    return rng.integers(-1024, 1500, shape).astype(np.int16), rng.integers(0, 14, shape).astype(np.uint8)


@pytest.fixture
def raw(tmp_path) -> Path:
    folder = tmp_path / "RawData" / "Training"
    affine = np.diag([-0.8, 0.8, 3.0, 1.0])
    for number in SIZES:
        for kind, array in zip(("img", "label"), voxels(number), strict=True):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, affine), folder / kind / f"{kind}{number:04d}.nii.gz")
    testing = tmp_path / "RawData" / "Testing" / "img"  # the challenge's test scans have no labels
    testing.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(voxels(1)[0], affine), testing / "img0061.nii.gz")
    return tmp_path / "RawData"


def expected(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels [Z, Y, X] as the paper describes them."""
    image, labels = (array.transpose(2, 1, 0) for array in voxels(number))
    mapped = np.zeros_like(labels)
    for value, to in PAPER_LABELS.items():
        mapped[labels == value] = to
    return (np.clip(image.astype(np.float32), -125, 275) + 125) / 400, mapped


def test_the_split_is_the_papers():
    assert len(TRAIN_CASES) == 18
    assert len(TEST_CASES) == 12
    assert set(TRAIN_CASES) | set(TEST_CASES) == {*range(1, 11), *range(21, 41)}


def test_prepared_data_are_what_the_published_readers_expect(raw, tmp_path):
    summary = prepare_synapse(raw, tmp_path / "out", slice_size=0)
    assert summary.train == ["case0005", "case0006"]
    assert summary.test == ["case0001", "case0038"]
    assert summary.slices == 7
    lists = tmp_path / "out/lists/lists_Synapse"
    names = (lists / "train.txt").read_text().splitlines()
    assert names[0] == "case0005_slice000"
    assert len(names) == 7
    assert (lists / "test_vol.txt").read_text().splitlines() == ["case0001", "case0038"]
    assert "case0005.npy.h5" in (lists / "all.lst").read_text().splitlines()
    image, labels = expected(5)
    for number in range(4):
        with np.load(tmp_path / f"out/train_npz/case0005_slice{number:03d}.npz") as data:
            assert data["image"].dtype == data["label"].dtype == np.float32
            np.testing.assert_allclose(data["image"], image[number], atol=1e-7)
            np.testing.assert_array_equal(data["label"], labels[number])
    with h5py.File(tmp_path / "out/test_vol_h5/case0001.npy.h5") as data:
        assert data["image"].dtype == data["label"].dtype == np.float32
        np.testing.assert_allclose(data["image"], expected(1)[0], atol=1e-7)
        np.testing.assert_array_equal(data["label"], expected(1)[1])


def test_training_slices_are_zoomed_as_scipy_zooms(raw, tmp_path):
    prepare_synapse(raw, tmp_path / "out", slice_size=14)
    image, labels = expected(6)
    with np.load(tmp_path / "out/train_npz/case0006_slice001.npz") as data:
        np.testing.assert_allclose(data["image"], ndimage.zoom(image[1], 14 / 24, order=3), atol=1e-6)
        np.testing.assert_array_equal(data["label"], ndimage.zoom(labels[1], 14 / 24, order=0))


def test_prepared_slices_load_for_training_without_another_zoom(raw, tmp_path):
    prepare_synapse(raw, tmp_path / "out", slice_size=14)
    loaded = load_slices(tmp_path / "out", 14, WINDOW, "LAS", cache=False)
    assert loaded.case_names == ["case0005", "case0006"]
    assert loaded.label_set.num_classes == 9
    with np.load(tmp_path / "out/train_npz/case0006_slice000.npz") as data:
        np.testing.assert_array_equal(loaded.images[4], data["image"])
        np.testing.assert_array_equal(loaded.labels[4], data["label"])
    folder_itself = load_slices(tmp_path / "out/train_npz", 14, WINDOW, "LAS", cache=False)
    np.testing.assert_array_equal(folder_itself.images, loaded.images)


def test_a_second_run_makes_only_what_is_missing(raw, tmp_path):
    out = tmp_path / "out"
    prepare_synapse(raw, out, slice_size=14)
    kept, lost = out / "train_npz/case0005_slice000.npz", out / "test_vol_h5/case0001.npy.h5"
    before = kept.stat().st_mtime_ns
    lost.unlink()
    summary = prepare_synapse(raw, out, slice_size=14)
    assert kept.stat().st_mtime_ns == before
    assert lost.is_file()
    assert summary.slices == 7
    prepare_synapse(raw, out, slice_size=12)
    with np.load(kept) as data:
        assert data["image"].shape == (12, 12)


class StopsAfter(Reporter):
    """Asks to stop at the given progress call, as a user would by the stop file."""

    def __init__(self, calls: int) -> None:
        super().__init__(silent=True)
        self.calls = calls

    def check_cancelled(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise Cancelled


@pytest.mark.parametrize("calls", [0, 1, 2, 3])
def test_stopping_leaves_whole_cases_and_no_rubbish(raw, tmp_path, calls):
    out = tmp_path / "out"
    with pytest.raises(Cancelled):
        prepare_synapse(raw, out, StopsAfter(calls), slice_size=0)
    counts = [len(list(out.glob(f"train_npz/case{number:04d}_*.npz"))) for number in (5, 6)]
    assert counts[0] in (0, 4)
    assert counts[1] in (0, 3)
    assert not list(out.glob(".*"))
    assert prepare_synapse(raw, out, SILENT, slice_size=0).slices == 7


def test_images_and_labels_pair_by_number_wherever_they_lie(raw, tmp_path):
    other = raw / "Training" / "img" / "moved"
    other.mkdir()
    (raw / "Training/img/img0005.nii.gz").rename(other / "img0005.nii.gz")
    prepare_synapse(raw.parent, tmp_path / "out", slice_size=0)
    with np.load(tmp_path / "out/train_npz/case0005_slice002.npz") as data:
        np.testing.assert_array_equal(data["label"], expected(5)[1][2])


def test_missing_data_say_where_to_get_them(raw, tmp_path, capfd):
    with pytest.raises(SAMedError, match="syn3193805"):
        prepare_synapse(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SAMedError, match=r"no BTCV scans.*syn3193805.*registration"):
        prepare_synapse(tmp_path / "empty", tmp_path / "out")
    prepare_synapse(raw, tmp_path / "out", Reporter(), slice_size=0)
    assert "lacks 26 of the 30 cases" in capfd.readouterr().err
    (raw / "Training/label/label0006.nii.gz").unlink()
    with pytest.raises(SAMedError, match=r"label0006.nii.gz is missing.*syn3193805"):
        prepare_synapse(raw, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_the_averaged_release_is_recognised_as_another_one(tmp_path):
    for kind, suffix in (("images", ""), ("labels", "_seg")):
        folder = tmp_path / f"averaged-training-{kind}"
        folder.mkdir()
        (folder / f"DET0000101_avg{suffix}.nii.gz").touch()
    with pytest.raises(SAMedError, match="averaged images"):
        prepare_synapse(tmp_path, tmp_path / "out")


def test_a_scan_that_is_there_twice_is_not_guessed_at(raw, tmp_path):
    (raw / "copy").mkdir()
    (raw / "copy/img0005.nii.gz").write_bytes((raw / "Training/img/img0005.nii.gz").read_bytes())
    with pytest.raises(SAMedError, match=r"img0005.nii.gz twice"):
        prepare_synapse(raw, tmp_path / "out")


def test_labels_that_do_not_fit_their_scan_are_refused(raw, tmp_path):
    path = raw / "Training/label/label0005.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels(6)[1], np.eye(4)), path)
    with pytest.raises(SAMedError, match=r"label0005.nii.gz differ in size"):
        prepare_synapse(raw, tmp_path / "out")
    nibabel.save(nibabel.Nifti1Image(voxels(5)[1] + 9, np.eye(4)), path)
    with pytest.raises(SAMedError, match=r"label0005.nii.gz holds the value 22"):
        prepare_synapse(raw, tmp_path / "out")


def test_test_volumes_read_as_images_and_labels(raw, tmp_path):
    prepare_synapse(raw, tmp_path / "out")
    assert list_test_cases(tmp_path / "out") == ["case0001", "case0038"]
    assert list_test_cases(tmp_path / "out/test_vol_h5") == ["case0001", "case0038"]
    image, labels = read_test_case(tmp_path / "out", "case0001")
    assert (image.dtype, labels.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(labels, expected(1)[1])
    with pytest.raises(SAMedError, match="does not exist"):
        read_test_case(tmp_path / "out", "case0002")
    with pytest.raises(SAMedError, match="no test volumes"):
        list_test_cases(tmp_path)


def damaged_slices(folder: Path) -> dict[str, bytes]:
    good = (folder / "case0005_slice001.npz").read_bytes()
    np.savez(folder / "bad.npz", image=np.zeros((24, 24), np.float32), label=np.full((24, 24), 9.0))
    values = (folder / "bad.npz").read_bytes()
    np.savez(folder / "bad.npz", image=np.zeros((24, 24), np.float32), label=np.zeros((24, 20)))
    shapes = (folder / "bad.npz").read_bytes()
    np.savez(folder / "bad.npz", image=np.array([{"run": "me"}], dtype=object), label=np.zeros((24, 24)))
    objects = (folder / "bad.npz").read_bytes()
    np.savez(folder / "bad.npz", label=np.zeros((24, 24)))
    lacking = (folder / "bad.npz").read_bytes()
    (folder / "bad.npz").unlink()
    half = bytearray(good)
    half[len(half) // 2] ^= 0xFF
    return {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "flipped": bytes(half),
        "pickle": pickle.dumps({"image": 1}),
        "objects": objects,
        "lacking": lacking,
        "values": values,
        "shapes": shapes,
    }


def test_damaged_slices_end_in_a_sentence_that_names_the_file(raw, tmp_path):
    prepare_synapse(raw, tmp_path / "out", slice_size=0)
    path = tmp_path / "out/train_npz/case0005_slice001.npz"
    for kind, content in damaged_slices(path.parent).items():
        path.write_bytes(content)
        with pytest.raises(SAMedError, match=r"case0005_slice001.npz") as error:
            load_slices(tmp_path / "out", 24, WINDOW, "LAS", cache=False)
        assert str(error.value).endswith("."), kind
    path.unlink()
    with pytest.raises(SAMedError, match=r"case0005_slice001.npz is missing"):
        load_slices(tmp_path / "out", 24, WINDOW, "LAS", cache=False)


def test_damaged_volumes_end_in_a_sentence_that_names_the_file(raw, tmp_path):
    prepare_synapse(raw, tmp_path / "out")
    path = tmp_path / "out/test_vol_h5/case0001.npy.h5"
    good = path.read_bytes()
    with h5py.File(tmp_path / "lacking.h5", "w") as data:
        data["image"] = np.zeros((2, 2, 2))
    with h5py.File(tmp_path / "nan.h5", "w") as data:
        data["image"], data["label"] = np.full((2, 2, 2), np.nan), np.zeros((2, 2, 2))
    for content in (b"", good[: len(good) // 2], *((tmp_path / f"{n}.h5").read_bytes() for n in ("lacking", "nan"))):
        path.write_bytes(content)
        with pytest.raises(SAMedError, match=r"case0001.npy.h5 .*prepare it again"):
            read_test_case(tmp_path / "out", "case0001")


def test_prepared_slices_refuse_another_window_or_orientation(raw, tmp_path):
    prepare_synapse(raw, tmp_path / "out")
    with pytest.raises(SAMedError, match="window"):
        load_slices(tmp_path / "out", 224, (-200.0, 300.0), "LAS")
    with pytest.raises(SAMedError, match="orientation"):
        load_slices(tmp_path / "out", 224, WINDOW, "RAS")
