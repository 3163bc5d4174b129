"""dataset.json of nnU-Net and Decathlon folders: which labels, which cases, which files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError
from SAMedLib.files import write_then_rename
from SAMedLib.imaging.volume import IMAGE_EXTENSIONS
from SAMedLib.json_files import read_json

INDEX_NAME = "dataset.json"
_CHANNEL = "_0000"


@dataclass(frozen=True)
class CaseFiles:
    """The two files of a case."""

    image: Path
    labels: Path


def read_index(folder: Path) -> dict[str, Any]:
    """The parsed dataset.json. Raises SAMedError if it is missing or is not JSON."""
    path = folder / INDEX_NAME
    try:
        index = read_json(path)
    except FileNotFoundError:
        raise SAMedError(
            f"{folder} holds no {INDEX_NAME}; a dataset has {INDEX_NAME}, imagesTr and labelsTr (nnU-Net layout)."
        ) from None
    if not isinstance(index, dict):
        raise SAMedError(f"{path} is not a dataset description; it must hold an object with labels.")
    return index


def write_index(folder: Path, index: dict[str, Any]) -> None:
    with write_then_rename(folder / INDEX_NAME) as temporary:
        temporary.write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_labels_of(index: dict[str, Any], path: Path) -> dict[int, str]:
    """Value in the label files to name, foreground only, in ascending order of the values; `path` is for messages.

    Both spellings: {"liver": 1} and {"1": "liver"}. Raises SAMedError for what is neither, and for regions and ignored
    labels, which one class per voxel cannot say.
    """
    entries = index.get("labels")
    if not isinstance(entries, dict) or not entries:
        raise SAMedError(f'{path} names no labels; add for example "labels": {{"background": 0, "liver": 1}}.')
    names: dict[int, str] = {}
    for key, entry in entries.items():
        if isinstance(entry, list):
            raise SAMedError(f"{path} makes {key!r} a region of several labels; give every voxel value its own name.")
        name, value = (entry, key) if isinstance(entry, str) and not entry.isdigit() else (key, entry)
        try:
            number = int(str(value))
        except ValueError:
            raise SAMedError(f"{path}: label {name!r} has the value {value!r}; it must be a whole number.") from None
        if not 0 <= number <= 255:
            raise SAMedError(f"{path}: label {name!r} has the value {number}; values run from 0 to 255.")
        if number in names:
            raise SAMedError(
                f"{path} gives the value {number} to both {names[number]!r} and {name!r}; give each its own."
            )
        if name.casefold() == "ignore":
            raise SAMedError(f"{path} has an 'ignore' label, which training here cannot leave out; relabel it first.")
        names[number] = name
    names.pop(0, None)
    if not names:
        raise SAMedError(f"{path} names the background only; name at least one organ.")
    return dict(sorted(names.items()))


def read_cases(index: dict[str, Any], folder: Path) -> dict[str, CaseFiles]:
    """Case name to files, every file known to exist.

    Raises:
        SAMedError: if a file is missing, two files claim one case, or there are several channels.
    """
    channels = index.get("channel_names") or index.get("modality") or {}
    if isinstance(channels, (dict, list)) and len(channels) > 1:
        raise SAMedError(f"{folder} has {len(channels)} channels; give a dataset of single CT scans.")
    if isinstance(index.get("training"), list):
        pairs = _listed(index["training"], folder)
    elif isinstance(index.get("dataset"), dict):
        pairs = _mapped(index["dataset"], folder)
    else:
        pairs = _found(folder, read_ending(index, folder))
    cases: dict[str, CaseFiles] = {}
    for name, files in pairs:
        if {"/", "\\"} & set(name) or name in ("", ".", ".."):
            raise SAMedError(
                f"{folder / INDEX_NAME} calls a case {name!r}; a case's name cannot be a path, correct it."
            )
        if name in cases:
            raise SAMedError(
                f"{folder} holds case {name} twice ({cases[name].labels.name}, {files.labels.name}); keep one."
            )
        for kind, path in (("scan", files.image), ("labels", files.labels)):
            if not path.is_file():
                raise SAMedError(
                    f"The {kind} of case {name}, {path}, does not exist; add it, or take the case out of the dataset."
                )
        cases[name] = files
    return cases


def read_ending(index: dict[str, Any], folder: Path) -> str | None:
    """The extension of all files of a dataset, None where it does not say. Raises SAMedError for what is none."""
    ending = index.get("file_ending")
    if ending and ending not in IMAGE_EXTENSIONS:
        raise SAMedError(
            f"{folder / INDEX_NAME} has the file_ending {ending!r}; it must be one of {', '.join(IMAGE_EXTENSIONS)}."
        )
    return ending or None


def _listed(entries: list, folder: Path) -> Iterable[tuple[str, CaseFiles]]:
    """The Decathlon's list of training cases."""
    for entry in entries:
        try:
            image, labels = (_within(folder, str(entry[key])) for key in ("image", "label"))
        except (TypeError, KeyError):
            raise SAMedError(f"{folder / INDEX_NAME}: a training case needs image and label, not {entry!r}.") from None
        name = _stem(labels)
        with_channel = image.with_name(image.name.replace(_stem(image), _stem(image) + _CHANNEL, 1))
        yield name, CaseFiles(with_channel if not image.is_file() and with_channel.is_file() else image, labels)


def _within(folder: Path, name: str) -> Path:
    """Raises SAMedError for a name that leads out of the folder: such a list may come from anybody."""
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise SAMedError(f"{folder / INDEX_NAME} names {name!r}, which is not in its folder; put the file there.")
    return folder / name


def _mapped(entries: dict, folder: Path) -> Iterable[tuple[str, CaseFiles]]:
    """nnU-Net's explicit mapping of case to files, which may lie in other datasets."""
    for name, entry in entries.items():
        try:
            images, labels = list(entry["images"]), folder / str(entry["label"])
        except (TypeError, KeyError):
            raise SAMedError(f"{folder / INDEX_NAME}: case {name} needs images and label.") from None
        if len(images) != 1:
            raise SAMedError(f"{folder}: case {name} has {len(images)} images; give it one CT.")
        yield name, CaseFiles(folder / str(images[0]), labels)


def _found(folder: Path, ending: str | None) -> Iterable[tuple[str, CaseFiles]]:
    """Files paired by name; without a file ending, any that we can read."""
    images = {}
    for path in _files(folder / "imagesTr", ending):
        stem = _stem(path, ending)
        if not stem.endswith(_CHANNEL):
            hint = "one CT channel fits" if stem[-5:-4] == "_" and stem[-4:].isdigit() else f"end it in {_CHANNEL}"
            raise SAMedError(f"{path} is not named as nnU-Net names a first channel; {hint}.")
        images[stem.removesuffix(_CHANNEL)] = path
    labels = _files(folder / "labelsTr", ending)
    missing = sorted(set(images) - {_stem(path, ending) for path in labels})
    if missing:
        others = f" (and for {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise SAMedError(f"{folder / 'labelsTr'} holds no labels for case {missing[0]}{others}; add them.")
    for path in labels:
        name = _stem(path, ending)
        yield name, CaseFiles(images.get(name, folder / "imagesTr" / f"{name}{_CHANNEL}{ending or '.nii.gz'}"), path)


def _files(folder: Path, ending: str | None) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    return [path for path in files if path.name.lower().endswith(ending.lower() if ending else IMAGE_EXTENSIONS)]


def _stem(path: Path, ending: str | None = None) -> str:
    """The file's name without its extension; links keep their own name."""
    endings = (ending,) if ending else IMAGE_EXTENSIONS
    return next((path.name[: -len(end)] for end in endings if path.name.lower().endswith(end.lower())), path.name)
