"""Scans and segmentations that lie in two folders, paired by name and put into a dataset folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from SAMedLib.data.folders import DatasetFolder, open_or_create, refresh_index, write_case
from SAMedLib.data.segments import find_label, is_segmentation, read_segments, read_values, segment_names
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.imaging.dicom import holds_dicom, is_dicom_file
from SAMedLib.imaging.volume import IMAGE_EXTENSIONS, read_volume
from SAMedLib.organs import SYNAPSE, LabelSet

_STAGE = "adding cases"
# what people and programs append to the scan's name
_CHANNEL = re.compile(r"_0000$")
_SUFFIX = re.compile(
    r"[ _.-]*(seg|segm|segmentation|segmentations|label|labels|labelmap|mask|masks|gt)$", re.IGNORECASE
)


def parse_labels(text: str) -> dict[str, int | None]:
    """Names and values from "liver=1,spleen=2"; the value is None where only a name is given.

    Raises:
        SAMedError: if the text is not that.
    """
    labels: dict[str, int | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not name or name in labels or (equals and not (value.isdecimal() and 1 <= int(value) <= 255)):
            raise SAMedError(
                f"--labels {part!r} is not understood; write for example liver=1,spleen=2 (values 1 to 255)."
            )
        labels[name] = int(value) if equals else None
    if any(name.casefold() == "ignore" for name in labels):
        raise SAMedError("--labels has an 'ignore' label, which training here cannot leave out; relabel it first.")
    values = [value for value in labels.values() if value is not None]
    if not labels or len(set(values)) != len(values):
        raise SAMedError(f"--labels {text!r} must give every organ its own value, for example liver=1,spleen=2.")
    return labels


def collect_segmentations(
    images: Path | str,
    segmentations: Path | str,
    output: Path | str,
    labels: Mapping[str, int | None] | None = None,
    report: Reporter = SILENT,
) -> list[str]:
    """Add every scan that has a segmentation to a dataset folder; cases that are there already are left as they are.

    Args:
        images: a folder of scans (files, or a DICOM folder each), or one scan.
        segmentations: a folder of .seg.nrrd and label files, or one; each is named like its scan, or like it with
            "_seg", "-segmentation", "_label" or the like appended.
        output: the dataset folder, new or with the same labels.
        labels: organ name to its value in label files, or None where only .seg.nrrd is to be read; by default the
            names of all segments, or the dataset's own labels.

    Returns:
        The names of the cases that were added.

    Raises:
        SAMedError: if nothing pairs, a pair does not fit, or values have no name; cases before it stay added.
        Cancelled: if the user asked to stop.
    """
    output = Path(output)
    pairs = _pair(_scans(Path(images)), _segmentations(Path(segmentations)), report)
    label_set, values = _labels_of([path for _, path in pairs.values()], labels, output)
    # a new dataset is made with its first case: nothing is left where that one cannot be read
    present = open_or_create(output, label_set).cases if (output / "dataset.json").exists() else {}
    added = []
    for done, (name, (image, segmentation)) in enumerate(pairs.items()):
        report.progress(_STAGE, done, len(pairs), name)
        if name in present:
            report.note(f"{output} already holds {name}; left as it is.")
            continue
        scan = read_volume(image)
        if is_segmentation(segmentation):
            array, notes = read_segments(segmentation, label_set, scan)
        else:
            array, notes = read_values(segmentation, values, scan), []
        for note in (*scan.notes, *notes):
            report.note(note)
        write_case(output, name, scan, array, label_set)
        added.append(name)
    if not added:  # who was killed over the last case did not count it
        refresh_index(output)
    report.progress(_STAGE, len(pairs), len(pairs))
    return added


def _scans(images: Path) -> dict[str, Path]:
    if not images.exists():
        raise SAMedError(f"{images} does not exist; give a folder of scans, or one scan.")
    if images.is_file() or holds_dicom(images):
        return {_scan_name(images): images}
    found: dict[str, Path] = {}
    for path in _visible(images):
        if path.is_dir() and not holds_dicom(path):
            continue
        if path.is_file() and (is_segmentation(path) or not (_has_image_extension(path) or is_dicom_file(path))):
            continue
        name = _scan_name(path)
        if name in found:
            raise SAMedError(f"{images} holds two scans called {name} ({found[name].name}, {path.name}); keep one.")
        found[name] = path
    return found


def _segmentations(folder: Path) -> list[Path]:
    if not folder.exists():
        raise SAMedError(f"{folder} does not exist; give a folder of segmentations, or one.")
    if folder.is_file():
        return [folder]
    return [path for path in _visible(folder) if path.is_file() and _has_image_extension(path)]


def _pair(scans: dict[str, Path], segmentations: Sequence[Path], report: Reporter) -> dict[str, tuple[Path, Path]]:
    if len(scans) == len(segmentations) == 1 and segmentations[0] not in scans.values():
        name, image = next(iter(scans.items()))
        return {name: (image, segmentations[0])}
    pairs: dict[str, tuple[Path, Path]] = {}
    alone = []
    for path in segmentations:
        name = next((name for name in _possible_scan_names(path) if scans.get(name, path) != path), None)
        if name is None:
            if path not in scans.values():
                alone.append(path.name)
            continue
        if name in pairs:
            raise SAMedError(
                f"Scan {name} has two segmentations ({pairs[name][1].name}, {path.name}); keep one of them."
            )
        pairs[name] = (scans[name], path)
    if not pairs:
        raise SAMedError(
            f"No segmentation is named like a scan (scans: {_some(scans)}; segmentations: "
            f"{_some(path.name for path in segmentations)}); name them alike."
        )
    if alone:
        report.note(f"No scan for {_some(alone)}; left out.")
    used = {path for _, path in pairs.values()}
    if missing := [name for name, path in scans.items() if name not in pairs and path not in used]:
        report.note(f"No segmentation for {_some(missing)}; left out.")
    return dict(sorted(pairs.items()))


def _labels_of(
    paths: Sequence[Path], labels: Mapping[str, int | None] | None, output: Path
) -> tuple[LabelSet, dict[int, int]]:
    """The dataset's label set, and for label files: value in the file to value of the set."""
    only_values = [path for path in paths if not is_segmentation(path)]
    if labels:
        if only_values and None in labels.values():
            name = next(name for name, value in labels.items() if value is None)
            raise SAMedError(f"{only_values[0]} holds values without names; give {name} its value, like {name}=1.")
        names = sorted(labels, key=lambda name: labels[name] or 256)
        values = {labels[name]: number for number, name in enumerate(names, start=1) if labels[name] is not None}
        return LabelSet.from_names(output.resolve().name, names), values
    if (output / "dataset.json").exists():
        dataset = DatasetFolder.open(output)
        return dataset.label_set, dict(zip(dataset.values, range(1, len(dataset.values) + 1), strict=True))
    if only_values:
        raise SAMedError(f"{only_values[0]} holds values without names; say what they mean: --labels liver=1,spleen=2.")
    return LabelSet.from_names(output.resolve().name, _all_segment_names(paths)), {}


def _all_segment_names(paths: Sequence[Path]) -> list[str]:
    """Every segment name once: the organs that SAMed knows first, in its order, then the others as they come."""
    names: dict[str, None] = {}
    for path in paths:
        for name in segment_names(path):
            if not any(_alike(name, other) for other in names):
                names[name] = None
    return sorted(names, key=lambda name: find_label(SYNAPSE, name) or 256)


def _alike(name: str, other: str) -> bool:
    return find_label(LabelSet.from_names("", [other]), name) is not None


def _possible_scan_names(segmentation: Path) -> list[str]:
    stem = _CHANNEL.sub("", _stem(segmentation))
    shorter = _SUFFIX.sub("", stem)
    return [stem, shorter, _CHANNEL.sub("", shorter)]


def _scan_name(path: Path) -> str:
    return path.name if path.is_dir() else _CHANNEL.sub("", _stem(path))


def _stem(path: Path) -> str:
    return next((path.name[: -len(end)] for end in IMAGE_EXTENSIONS if path.name.lower().endswith(end)), path.name)


def _has_image_extension(path: Path) -> bool:
    return path.name.lower().endswith(IMAGE_EXTENSIONS)


def _visible(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def _some(names) -> str:
    names = list(names)
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "none"
