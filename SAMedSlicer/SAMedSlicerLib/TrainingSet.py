"""A dataset folder as the Training tab sees it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slicer.i18n import tr as _

from SAMedLib.data.dataset_index import (
    INDEX_NAME,
    CaseFiles,
    read_cases,
    read_index,
    read_labels_of,
    write_index,
)
from SAMedLib.errors import SAMedError
from SAMedLib.files import check_writable
from SAMedLib.organs import LabelSet

REMOVED = "removed"
_NAME = re.compile(r"[\w-]([\w -]*[\w-])?")
_CHANNEL = "_0000"  # what nnU-Net appends to the name of a scan
_LABEL_NAME = re.compile(r"[^\s,=:/\\][^,=:/\\]*")


@dataclass(frozen=True)
class TrainingSet:
    """What is in the folder now; open it again after a change.

    Attributes:
        folder: exists, unless nothing was added yet.
        values: label name to its value in the label files, in the order of the values; empty for a new set.
        cases: case name to its files; the files are None in a prepared folder.
        isNew: nothing is there yet; the first case decides on the labels.
        readOnly: a sentence why no case can be added or removed, empty if they can.
    """

    folder: Path
    values: dict[str, int] = field(default_factory=dict)
    cases: dict[str, CaseFiles | None] = field(default_factory=dict)
    isNew: bool = False
    readOnly: str = ""

    @classmethod
    def open(cls, folder: Path | str) -> TrainingSet:
        """Raises SAMedError if it is no dataset folder, and no place to make one."""
        folder = Path(folder).expanduser()
        if folder.is_file():
            raise SAMedError(_("{path} is a file; choose a folder.").format(path=folder))
        if (folder / INDEX_NAME).is_file():
            return cls._openDataset(folder)
        if not folder.exists() or not holdsFiles(folder):
            return cls(folder, isNew=True, readOnly=_reasonNotToWrite(folder))
        if (folder / "train_npz").is_dir() or next(folder.glob("*.npz"), None):
            return cls._openPrepared(folder)
        raise SAMedError(
            _("{path} holds other files but no training set; choose a training set, or a new or empty folder.").format(
                path=folder
            )
        )

    @classmethod
    def _openDataset(cls, folder: Path) -> TrainingSet:
        index = read_index(folder)
        values = {name: value for value, name in read_labels_of(index, folder / INDEX_NAME).items()}
        reason = _reasonNotToWrite(folder)
        if not reason and isinstance(index.get("dataset"), dict):
            reason = _("dataset.json names the files of every case by itself, so cases cannot be added here.")
        return cls(folder, values, dict(read_cases(index, folder)), readOnly=reason)

    @classmethod
    def _openPrepared(cls, folder: Path) -> TrainingSet:
        from SAMedLib.data.prepared import PreparedSlices

        prepared = PreparedSlices.open(folder)
        values = {label.name: label.value for label in prepared.label_set}
        reason = _("These are prepared Synapse slices: they can be trained on, but not changed here.")
        return cls(folder, values, dict.fromkeys(prepared.files), readOnly=reason)

    @property
    def labelSet(self) -> LabelSet:
        """The labels with colours and codes, numbered 1, 2, 3, ..."""
        return LabelSet.from_names(self.folder.name, self.values)

    def nextName(self) -> str:
        """A name for the next case that says nothing about the patient."""
        taken = {name.casefold() for name in (*self.cases, *self._removedNames())}
        number = len(self.cases) + 1
        while f"case_{number:03d}" in taken:
            number += 1
        return f"case_{number:03d}"

    def checkName(self, name: str) -> None:
        """Raises SAMedError if a new case cannot be called so."""
        if not _NAME.fullmatch(name) or name.endswith(_CHANNEL):
            raise SAMedError(_("'{name}' cannot name a case; use letters, digits, '-' and '_'.").format(name=name))
        if name.casefold() in {known.casefold() for known in self.cases}:
            raise SAMedError(
                _("There is a case '{name}' already; choose another name, or remove that case first.").format(name=name)
            )

    def valuesWith(self, names: Sequence[str]) -> dict[str, int]:
        """The values that labels will have once `names` are added: a set keeps those that it has.

        Raises:
            SAMedError: if the set cannot be changed, or a name cannot name a label.
        """
        if self.readOnly:
            raise SAMedError(self.readOnly)
        values = dict(self.values)
        for name in names:
            if not _LABEL_NAME.fullmatch(name) or name.casefold() in ("background", "ignore"):
                raise SAMedError(
                    _("'{name}' cannot name a label; use a plain name such as 'left adrenal gland'.").format(name=name)
                )
            values.setdefault(name, max(values.values(), default=0) + 1)
        if max(values.values(), default=0) > 255:
            raise SAMedError(_("A training set holds at most 255 labels; leave some segments out."))
        return values

    def addLabels(self, names: Sequence[str]) -> None:
        """Write new labels into the index; a new set is made with them."""
        values = self.valuesWith(names)
        if self.isNew:
            from SAMedLib.data.folders import open_or_create

            self.folder.mkdir(parents=True, exist_ok=True)
            open_or_create(self.folder, LabelSet.from_names(self.folder.name, names))
            return
        added = {name: value for name, value in values.items() if name not in self.values}
        if added:
            index = read_index(self.folder)
            valueFirst = any(isinstance(entry, str) and not entry.isdigit() for entry in index["labels"].values())
            index["labels"].update({str(value): name for name, value in added.items()} if valueFirst else added)
            write_index(self.folder, index)

    def undo(self, name: str, labels: Sequence[str]) -> None:
        """Take back what an attempt to add a case left: parts of its files, and labels that came with it.

        Nothing else in the folder is touched: `self` is the set as it was before.
        """
        from SAMedLib.data.folders import new_files

        if not (self.folder / INDEX_NAME).is_file():
            return
        for path in (files := new_files(self.folder, name)).image, files.labels:
            path.unlink(missing_ok=True)
            for leftover in path.parent.glob(f".{path.name}.*"):  # of a process that was killed while it wrote
                shutil.rmtree(leftover, ignore_errors=True)
        if self.isNew:
            (self.folder / INDEX_NAME).unlink()
            return
        index = read_index(self.folder)
        for key, entry in list(index["labels"].items()):
            if (key in labels or entry in labels) and not {key, entry} & set(self.values):
                del index["labels"][key]
        write_index(self.folder, index)

    def remove(self, name: str) -> Path:
        """Take a case out of the set; its files move to a folder beside the others, so nothing is lost.

        Returns:
            where the files are now.

        Raises:
            SAMedError: if the set cannot be changed.
            OSError: if the files cannot be moved.
        """
        files = self.cases[name]
        if self.readOnly or files is None:
            raise SAMedError(self.readOnly)
        index = read_index(self.folder)
        if isinstance(index.get("training"), list):
            kept = [entry for entry in index["training"] if (self.folder / str(entry.get("label"))) != files.labels]
            index["training"] = kept
        target = self._placeForRemoved(files)
        moves = [(path, target / path.parent.name / path.name) for path in (files.image, files.labels)]
        try:
            for path, place in moves:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(str(path), str(place))
        except OSError:
            for path, place in moves:
                if place.exists() and not path.exists():
                    shutil.move(str(place), str(path))
            raise
        index["numTraining"] = len(self.cases) - 1
        write_index(self.folder, index)
        return target

    def _placeForRemoved(self, files: CaseFiles) -> Path:
        """A folder in which both files are new, whatever was removed before."""
        target, number = self.folder / REMOVED, 1
        while any((target / path.parent.name / path.name).exists() for path in (files.image, files.labels)):
            number += 1
            target = self.folder / REMOVED / str(number)
        return target

    def _removedNames(self) -> list[str]:
        labels = (self.folder / REMOVED).glob("**/labelsTr/*")
        return [path.name.split(".")[0] for path in labels]


def holdsFiles(folder: Path) -> bool:
    """Whether the folder holds something that is not hidden."""
    return any(not path.name.startswith(".") for path in folder.iterdir())


def _reasonNotToWrite(folder: Path) -> str:
    try:
        check_writable(folder, folder=True)
    except SAMedError:
        return _("You may not write into {path}: its cases can be trained on, but not changed.").format(path=folder)
    return ""
