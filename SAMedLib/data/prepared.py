"""Synapse slices and volumes as the published preprocessing leaves them, in TransUNet's folders.

train_npz/case0005_slice000.npz          image, label: float32 [S,S]
test_vol_h5/case0001.npy.h5              image, label: float32 [Z,Y,X]
lists/lists_Synapse/train.txt, test_vol.txt, all.lst
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE, LabelSet

TRAIN_FOLDER, TEST_FOLDER, LIST_FOLDER = "train_npz", "test_vol_h5", Path("lists/lists_Synapse")
WINDOW = (-125.0, 275.0)
# raw BTCV is stored this way; the published preparation ignores the affine
ORIENTATION = "LAS"
# what zip, NumPy and HDF5 readers raise for files that are cut, altered or something else
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    AttributeError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class PreparedSlices:
    """Training slices of a prepared folder.

    Attributes:
        files: case name to its slices' files, in the order of train.txt (sorted if there is no list).
    """

    files: dict[str, list[Path]]
    label_set: LabelSet = SYNAPSE

    @classmethod
    def open(cls, folder: Path, window: tuple[float, float] = WINDOW, orientation: str = ORIENTATION) -> PreparedSlices:
        """Raises SAMedError if a listed slice is missing, or the slices were prepared otherwise than asked for."""
        if tuple(map(float, window)) != WINDOW:
            raise SAMedError(
                f"{folder} was prepared with the window {list(WINDOW)} HU; train with it, not with {list(window)}."
            )
        if orientation != ORIENTATION:
            raise SAMedError(f"{folder} was prepared in the orientation {ORIENTATION}; train in it, not {orientation}.")
        where = _slice_folder(folder)
        names = read_list(folder, "train.txt") or sorted(path.stem for path in where.glob("*.npz"))
        files: dict[str, list[Path]] = {}
        present = {path.name for path in where.iterdir()}
        for name in names:
            path = where / f"{name}.npz"
            if path.name not in present:
                raise SAMedError(f"{path} is missing, though the list of training slices names it; prepare it again.")
            files.setdefault(name.rpartition("_slice")[0] or name, []).append(path)
        return cls(files)

    def read(self, case: str) -> tuple[np.ndarray, np.ndarray]:
        """A case's slices: float32 [n,S,S] in [0,1] and uint8 [n,S,S]."""
        pairs = [read_slice(path) for path in self.files[case]]
        for path, (image, _) in zip(self.files[case], pairs, strict=True):
            if image.shape != pairs[0][0].shape:
                raise SAMedError(f"{path} has {image.shape} pixels, but other slices of its case {pairs[0][0].shape}.")
        return np.stack([image for image, _ in pairs]), np.stack([label for _, label in pairs])


def holds_prepared_slices(folder: Path) -> bool:
    """Whether this is a prepared folder, or the train_npz of one."""
    return (folder / TRAIN_FOLDER).is_dir() or next(folder.glob("*.npz"), None) is not None


def read_list(folder: Path, name: str) -> list[str]:
    """The lines of a list of a prepared folder; empty if it has none."""
    for base in (folder, folder.parent) if folder.name in (TRAIN_FOLDER, TEST_FOLDER) else (folder,):
        path = base / LIST_FOLDER / name
        if path.is_file():
            return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return []


def read_slice(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """image float32 [S,S] and label uint8 [S,S] of a training slice. Raises SAMedError if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            image, label = data["image"], data["label"]
    except _DAMAGED as error:
        raise SAMedError(f"{path} is damaged or no training slice ({_reason(error)}); prepare it again.") from error
    if image.ndim != 2 or image.shape != label.shape:
        raise SAMedError(
            f"{path} holds an image of shape {image.shape} and labels of {label.shape}; both must be [S,S]."
        )
    return as_image(image, path), as_labels(label, SYNAPSE, path)


def list_test_cases(folder: Path | str) -> list[str]:
    """Names of the test volumes of a prepared folder: those of test_vol.txt, or all that are there.

    Raises:
        SAMedError: if there are none.
    """
    folder = Path(folder)
    names = read_list(folder, "test_vol.txt")
    where = _volume_folder(folder)
    if not names and where.is_dir():
        names = sorted(path.name.removesuffix(".npy.h5") for path in where.glob("*.npy.h5"))
    if not names:
        raise SAMedError(f"{folder} holds no test volumes ({TEST_FOLDER}/case0001.npy.h5 and so on).")
    return names


def read_test_case(folder: Path | str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A test volume: image float32 [D,H,W] in [0,1] and labels uint8 [D,H,W], in the published orientation.

    Raises:
        SAMedError: if it is missing, damaged, or holds unknown labels.
    """
    import h5py

    path = _volume_folder(Path(folder)) / f"{name}.npy.h5"
    if not path.is_file():
        raise SAMedError(f"{path} does not exist; prepare the test volumes with `samed prepare synapse`.")
    try:
        with h5py.File(path, "r") as data:
            image, label = data["image"][()], data["label"][()]
    except _DAMAGED as error:
        raise SAMedError(f"{path} is damaged or no test volume ({_reason(error)}); prepare it again.") from error
    if np.ndim(image) != 3 or np.shape(image) != np.shape(label):
        raise SAMedError(
            f"{path} holds an image of shape {np.shape(image)} and labels of {np.shape(label)}; both must be [D,H,W]."
        )
    return as_image(image, path), as_labels(label, SYNAPSE, path)


def as_image(values: np.ndarray, path: Path) -> np.ndarray:
    """float32; raises SAMedError for what is not a finite real image."""
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise SAMedError(f"{path} holds an image that is not all numbers; prepare it again.")
    return values.astype(np.float32, copy=False)


def as_labels(values: np.ndarray, label_set: LabelSet, path: Path) -> np.ndarray:
    """uint8; raises SAMedError for values that the label set does not have."""
    highest = label_set.num_classes - 1
    with np.errstate(invalid="ignore"):
        labels = values.astype(np.uint8) if values.dtype.kind in "fiub" else None
    if labels is None or labels.max(initial=0) > highest or not np.array_equal(labels, values):
        raise SAMedError(f"{path} holds labels other than 0 to {highest} of {label_set.name}; prepare it again.")
    return labels


def _slice_folder(folder: Path) -> Path:
    return folder / TRAIN_FOLDER if (folder / TRAIN_FOLDER).is_dir() else folder


def _volume_folder(folder: Path) -> Path:
    return folder if folder.name == TEST_FOLDER else folder / TEST_FOLDER


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
