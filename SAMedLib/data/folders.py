"""Datasets of scans and segmentations in folders: nnU-Net (v1, v2) and Medical Segmentation Decathlon, any label set.

    dataset.json                   {"labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz", ...}
    imagesTr/case_0000.nii.gz      one CT channel
    labelsTr/case.nii.gz           on the same grid

The Decathlon writes {"labels": {"0": "background", "1": "liver"}, "training": [{"image": ..., "label": ...}]} instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SAMedLib.data.dataset_index import (
    INDEX_NAME,
    CaseFiles,
    read_cases,
    read_ending,
    read_index,
    read_labels_of,
    write_index,
)
from SAMedLib.errors import SAMedError
from SAMedLib.files import remove_leftovers, write_together
from SAMedLib.imaging.grids import grid_differences
from SAMedLib.imaging.volume import (
    LABEL_EXTENSIONS,
    SEGMENTATION_EXTENSION,
    Volume,
    read_labels,
    read_volume,
    write_array,
)
from SAMedLib.organs import LabelSet

_FORBIDDEN = set('/\\:*?"<>|')
_NEW_ENDING = ".nii.gz"


@dataclass(frozen=True)
class DatasetFolder:
    """A dataset folder, its index read and its files known to exist.

    Attributes:
        folder: where dataset.json lies.
        label_set: labels 1, 2, 3, ... in the order of their values in the files.
        values: for each label of the set, its value in the label files.
        cases: case name to its files, in the order of the index, or sorted.
    """

    folder: Path
    label_set: LabelSet
    values: tuple[int, ...]
    cases: dict[str, CaseFiles]

    @classmethod
    def open(cls, folder: Path | str) -> DatasetFolder:
        """Raises SAMedError if the index cannot be understood, or a file that it promises is missing."""
        folder = Path(folder)
        index = read_index(folder)
        names = read_labels_of(index, folder / INDEX_NAME)
        label_set = LabelSet.from_names(str(index.get("name") or folder.resolve().name), names.values())
        return cls(folder, label_set, tuple(names), read_cases(index, folder))

    def read(self, name: str) -> tuple[Volume, np.ndarray]:
        """A scan in HU, and its labels uint8 [Z,Y,X] as values of `label_set`.

        Raises:
            SAMedError: if there is no such case, its two grids differ, or it holds a value without a name.
        """
        if name not in self.cases:
            raise SAMedError(f"{self.folder} holds no case {name!r}; it holds {_some(list(self.cases))}.")
        files = self.cases[name]
        image, labels = read_volume(files.image), read_labels(files.labels)
        if differences := grid_differences(image.geometry, labels.geometry):
            raise SAMedError(
                f"Case {name} of {self.folder}: the scan and its labels must share one grid, but they differ: "
                f"{', '.join(differences)}; resample one onto the other."
            )
        return image, self._to_label_set(labels.array, name)

    def _to_label_set(self, labels: np.ndarray, name: str) -> np.ndarray:
        table = np.full(256, 255, np.uint8)
        table[0] = 0
        table[list(self.values)] = np.arange(1, len(self.values) + 1)
        present = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256))
        if unknown := [int(value) for value in present if value and value not in self.values]:
            named = ", ".join(f"{value} {label.name}" for value, label in zip(self.values, self.label_set, strict=True))
            raise SAMedError(
                f"Case {name} of {self.folder}: its labels hold the value {_some(unknown)}, but dataset.json names "
                f"only {named}; name them all there."
            )
        return table[labels]


def list_cases(folder: Path | str) -> list[str]:
    """Names of the cases of a dataset folder."""
    return list(DatasetFolder.open(folder).cases)


def read_case(folder: Path | str, name: str) -> tuple[Volume, np.ndarray]:
    """See DatasetFolder.read."""
    return DatasetFolder.open(folder).read(name)


def label_set_of(folder: Path | str) -> LabelSet:
    """The labels of a dataset folder; organs that we know keep their colour and code."""
    return DatasetFolder.open(folder).label_set


def write_case(
    folder: Path | str, name: str, volume: Volume, labels: np.ndarray, label_set: LabelSet, *, overwrite: bool = False
) -> None:
    """Add a case to a dataset folder, and make the folder if it is not there.

    Each file appears complete or not at all, the index last.

    Args:
        folder: a dataset folder with the same label names, or one that is empty or does not exist.
        name: the case's, new unless `overwrite`.
        volume: the scan in HU.
        labels: integers [Z,Y,X] on its grid, values of `label_set`.

    Raises:
        SAMedError: if anything does not fit; nothing is written then.
    """
    folder = Path(folder)
    _check_name(name)
    _check_labels(labels, volume, label_set, name)
    dataset = open_or_create(folder, label_set)
    if name in dataset.cases and not overwrite:
        raise SAMedError(f"{folder} already holds a case {name!r}; choose another name.")
    files = dataset.cases.get(name) or new_files(folder, name)
    write_files(files, volume, np.array([0, *dataset.values], np.uint8)[labels])
    refresh_index(folder, added=(name, files))


def write_files(files: CaseFiles, volume: Volume, values: np.ndarray) -> None:
    """Write a scan and its labels (file values, [Z,Y,X]); both are complete before either appears."""
    with write_together(files.image, files.labels) as (image, labels):
        write_array(image, volume.array, volume.geometry)
        write_array(labels, values.astype(np.uint8, copy=False), volume.geometry)


def open_or_create(folder: Path | str, label_set: LabelSet) -> DatasetFolder:
    """The dataset in `folder`, which must have these labels; an empty one is made where there is none."""
    folder = Path(folder)
    if not (folder / "dataset.json").exists():
        if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise SAMedError(f"{folder} holds other files but no dataset.json; choose an empty or a new folder.")
        labels = {"background": 0, **{label.name: label.value for label in label_set}}
        write_index(
            folder,
            {
                "name": label_set.name,
                "channel_names": {"0": "CT"},
                "labels": labels,
                "numTraining": 0,
                "file_ending": _NEW_ENDING,
            },
        )
    end_what_was_begun(folder)
    dataset = DatasetFolder.open(folder)
    if dataset.label_set.names != label_set.names:
        raise SAMedError(
            f"{folder} has the labels {', '.join(dataset.label_set.names)}, the case has {', '.join(label_set.names)}; "
            "add it to a dataset with its own labels."
        )
    return dataset


def end_what_was_begun(folder: Path) -> None:
    """Of processes that were killed: cases that were complete get their names, others leave nothing."""
    for parent in (folder / "imagesTr", folder / "labelsTr"):
        remove_leftovers(parent)


def refresh_index(folder: Path, added: tuple[str, CaseFiles] | None = None) -> None:
    """Bring dataset.json up to date with the files, and with a case that was added to them."""
    with _nobody_else(folder):
        index = read_index(folder)
        if added and isinstance(index.get("training"), list):
            _, files = added
            entry = {
                "image": f"./{files.image.relative_to(folder).as_posix()}",
                "label": f"./{files.labels.relative_to(folder).as_posix()}",
            }
            if entry not in index["training"]:
                index["training"].append(entry)
        index["numTraining"] = len(read_cases(index, folder))
        write_index(folder, index)


@contextlib.contextmanager
def _nobody_else(folder: Path) -> Iterator[None]:
    """Another process may add cases as well, and each keeps what the other has written."""
    from filelock import FileLock

    with contextlib.ExitStack() as held:
        # network folders may know no locks; one that cannot be written says so better when it is written to
        with contextlib.suppress(NotImplementedError, OSError):
            held.enter_context(FileLock(folder / ".lock"))
        yield


def _check_name(name: str) -> None:
    if not name or name.startswith(".") or name != name.strip() or _FORBIDDEN & set(name):
        raise SAMedError(f"{name!r} cannot name a case; use letters, digits, spaces, '-' and '_'.")


def _check_labels(labels: np.ndarray, volume: Volume, label_set: LabelSet, name: str) -> None:
    if labels.shape != volume.array.shape:
        raise SAMedError(f"Case {name}: labels of shape {labels.shape} do not fit a scan of {volume.array.shape}.")
    if labels.size and (labels.min() < 0 or labels.max() >= label_set.num_classes):
        raise SAMedError(
            f"Case {name}: labels run from {labels.min()} to {labels.max()}; {label_set.name} has 0 to "
            f"{label_set.num_classes - 1}."
        )


def new_files(folder: Path, name: str) -> CaseFiles:
    """Where a new case of this dataset goes."""
    index = read_index(folder)
    ending = read_ending(index, folder) or _NEW_ENDING
    if ending not in LABEL_EXTENSIONS or ending == SEGMENTATION_EXTENSION:
        raise SAMedError(f"{folder / INDEX_NAME} has the file_ending {ending!r}, which is not written; change it.")
    channel = "" if isinstance(index.get("training"), list) else "_0000"
    return CaseFiles(folder / "imagesTr" / f"{name}{channel}{ending}", folder / "labelsTr" / f"{name}{ending}")


def _some(values: list) -> str:
    shown = ", ".join(map(str, values[:5]))
    return f"{shown} and {len(values) - 5} more" if len(values) > 5 else shown or "none"
