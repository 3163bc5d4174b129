"""Datasets that are damaged or contradict themselves are refused before anything is trained or written."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

import checkpoints
from bad_input import Bad
from made_ct import soft_tissue, write_image
from SAMedLib.evaluate import main as evaluate
from SAMedLib.train import main as train
from training_data import write_network, write_shapes

INDEX = {"labels": {"background": 0, "disc": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return write_network(tmp_path_factory.mktemp("network") / "network.json")


def options(data, network, output):
    size = ["--model-size", network, "--init", "scratch", "--image-size", "64", "--slice-size", "64"]
    return ["--data", data, "--output", output, *size, "--max-steps", "1", "--device", "cpu"]


def _dataset(change: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_shapes(folder / "data", cases=2)
        change(folder / "data")
        return folder / "data"

    return make


def _index(text: str) -> Callable[[Path], Path]:
    return _dataset(lambda folder: (folder / "dataset.json").write_text(text) and None)


def _damaged_cases() -> Iterator[Bad]:
    def edit(what: str, change: Callable[[Path], object]) -> Bad:
        return Bad(what, _dataset(lambda folder: change(folder) and None))

    scan, labels = "imagesTr/case0_0000.nii.gz", "labelsTr/case0.nii.gz"
    for name in (scan, labels):
        yield edit(f"{name} missing", lambda folder, name=name: (folder / name).unlink())
        for percent in (0, 1, 30, 60, 90):
            yield edit(f"{name} cut to {percent}%", partial(_cut, name=name, percent=percent))
        for what, content in {"text": b"text", "zeros": bytes(900)}.items():
            yield edit(f"{name} is {what}", lambda folder, n=name, c=content: (folder / n).write_bytes(c))
        yield edit(f"{name} of another size", partial(_write_another_size, name=name))
    for spacing, direction in (((2, 1, 3), None), ((1, 1, 3), (-1, 0, 0, 0, -1, 0, 0, 0, 1)), ((1, 1, 9), None)):
        where = {"spacing": spacing, **({"direction": direction} if direction else {})}
        yield edit(f"labels at {where}", partial(_write_no_labels, name=labels, **where))
    for value in (4, 77, 255, 300, -1, 0.5):
        kind = np.float32 if value == 0.5 else np.int16
        array = np.full((6, 64, 64), value, kind)
        yield edit(f"labels hold {value}", lambda f, a=array: write_image(f / labels, a, spacing=(1, 1, 3)))
    nothing = np.full((6, 64, 64), -1024, np.int16)
    yield edit("a scan of nothing", lambda folder: write_image(folder / scan, nothing, spacing=(1, 1, 3)))
    yield edit("no cases", lambda folder: [path.unlink() for path in folder.glob("*Tr/*")])
    yield edit("no scans", lambda folder: [path.unlink() for path in folder.glob("imagesTr/*")])
    yield edit("a case twice", _add_a_second_case0)


def _write_another_size(folder: Path, name: str) -> None:
    write_image(folder / name, abs(soft_tissue((3, 64, 64))) % 3)


def _write_no_labels(folder: Path, name: str, **where) -> None:
    write_image(folder / name, np.zeros((6, 64, 64), np.uint8), **where)


def _add_a_second_case0(folder: Path) -> None:
    index = json.loads((folder / "dataset.json").read_text())
    del index["file_ending"]
    (folder / "dataset.json").write_text(json.dumps(index))
    (folder / "labelsTr/case0.nrrd").write_bytes((folder / "labelsTr/case0.nii.gz").read_bytes())


def _cut(folder: Path, name: str, percent: int) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) * percent // 100])


def _damaged_indexes() -> Iterator[Bad]:
    for text in ("", "{", "[]", "null", "3", '"x"', "[" * 5000, "\x00", "{}", '{"labels": {}}', '{"labels": 3}'):
        yield Bad(f"dataset.json {text[:12]!r}", _index(text))
    for labels in ({"background": 0}, {"a": "b"}, {"a": -1}, {"a": 256}, {"a": 1.5}, {"a": None}, {"a": [1, 2]},
                   {"a": 1, "b": 1}, {"a": 1, "ignore": 2}, {"a": {}}, ["liver"]):  # fmt: skip
        yield Bad(f"labels {labels}", _index(json.dumps({**INDEX, "labels": labels})))
    for changes in ({"training": [3]}, {"training": [{"image": "x"}]}, {"training": [{"image": "x", "label": "y"}]},
                    {"training": []}, {"dataset": {"a": 3}}, {"dataset": {"a": {"images": [], "label": "x"}}},
                    {"dataset": {"a": {"images": ["x"], "label": "y"}}}, {"channel_names": {"0": "CT", "1": "PET"}},
                    {"file_ending": ".xyz"}, {"labels": {"background": 0, "disc": 1}}):  # fmt: skip
        yield Bad(f"dataset.json with {changes}", _index(json.dumps({**INDEX, **changes})))


def _slices(content: object) -> Callable[[Path], Path]:
    """A prepared folder of one training slice: bytes, or arrays to save."""

    def make(folder: Path) -> Path:
        where = folder / "data" / "train_npz"
        where.mkdir(parents=True)
        path = where / "case0005_slice000.npz"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.savez(path, **content)
        return folder / "data"

    return make


def _damaged_slices() -> Iterator[Bad]:
    image, label = np.random.default_rng(0).random((64, 64), np.float32), np.zeros((64, 64), np.uint8)
    for what, arrays in {
        "no labels": {"image": image},
        "no image": {"label": label},
        "other names": {"a": image, "b": label},
        "sizes that differ": {"image": image, "label": label[:9]},
        "three dimensions": {"image": image[None], "label": label[None]},
        "no numbers": {"image": np.full_like(image, np.nan), "label": label},
        "infinite values": {"image": np.full_like(image, np.inf), "label": label},
        "text": {"image": image.astype("U8"), "label": label},
        "complex numbers": {"image": image.astype(complex), "label": label},
        "unknown labels": {"image": image, "label": label + 9},
        "negative labels": {"image": image, "label": label.astype(int) - 1},
        "fractional labels": {"image": image, "label": label + 0.5},
        "objects": {"image": np.array([[{}]], object), "label": label},
    }.items():
        yield Bad(f"a slice with {what}", _slices(arrays))
    for what, content in {"nothing": b"", "text": b"text", "half an archive": b"PK\x03\x04" + bytes(60)}.items():
        yield Bad(f"a slice of {what}", _slices(content))


@pytest.mark.parametrize("bad", [*_damaged_cases(), *_damaged_indexes(), *_damaged_slices()], ids=str)
def test_a_bad_dataset_is_not_trained_on(trial, network, bad):
    data = bad.make(trial.inputs)
    trial.refuse(train, options(data, network, trial.output), "data", bad.says)


def _volumes() -> Iterator[Bad]:
    image, label = np.zeros((3, 20, 24), np.float32), np.zeros((3, 20, 24), np.uint8)

    def make(folder: Path, content: object) -> Path:
        where = folder / "data" / "test_vol_h5"
        where.mkdir(parents=True)
        path = where / "case0001.npy.h5"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            with h5py.File(path, "w") as file:
                for name, array in content.items():
                    file[name] = array
        return folder / "data"

    contents = {
        "nothing": b"",
        "text": b"text" * 99,
        "half a header": b"\x89HDF\r\n\x1a\n" + bytes(50),
        "no labels": {"image": image},
        "no image": {"label": label},
        "sizes that differ": {"image": image, "label": label[:1]},
        "two dimensions": {"image": image[0], "label": label[0]},
        "no numbers": {"image": image * np.nan, "label": label},
        "unknown labels": {"image": image, "label": label + 99},
        "a number": {"image": 3, "label": 4},
        "text inside": {"image": "text", "label": "text"},
    }
    for what, content in contents.items():
        yield Bad(f"a test volume of {what}", partial(make, content=content))


@pytest.mark.parametrize("bad", _volumes(), ids=str)
def test_a_bad_test_set_is_not_evaluated_on(trial, model, bad):
    data = bad.make(trial.inputs)
    report = trial.output / "report.json"
    trial.refuse(evaluate, ["--model", model, "--data", data, "--json", report, "--device", "cpu"], "case0001.npy.h5")


def test_code_in_an_npz_is_refused_and_never_run(tmp_path, trial_of, network):
    canary = tmp_path / "canary"
    for trap in checkpoints.traps(canary).values():
        trial = trial_of()
        objects = np.empty((1, 1), object)
        objects[0, 0] = trap
        data = _slices({"image": objects, "label": np.zeros((1, 1), np.uint8)})(trial.inputs)
        trial.refuse(train, options(data, network, trial.output), "case0005_slice000.npz")
        assert not canary.exists()
    pickle.loads(pickle.dumps(trap))  # noqa: S301 - the last trap does work
    assert canary.exists()
