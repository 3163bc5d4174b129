"""What a look at a training set finds: which labels are where, and what would spoil a training without stopping it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SAMedLib.data.folders import DatasetFolder
from SAMedLib.data.slices import SliceSet
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.imaging.grids import grid_differences
from SAMedLib.imaging.volume import Geometry, read_geometry

_STAGE = "comparing grids"
_TILT_DEGREES = 10.0  # training takes slices as they are stored
_STRETCH = 0.1  # slices are brought to a square
_SHOWN = 5


@dataclass(frozen=True)
class LabelCount:
    """How much of one label there is.

    Attributes:
        cases: cases that have it, those held out included.
        validation_cases: of these, the ones that are held out.
        voxels: in all of them, at the size that slices have in training.
    """

    cases: int
    validation_cases: int
    voxels: int


def count_labels(training: SliceSet, validation: SliceSet | None) -> dict[str, LabelCount]:
    """For each label of the label set, in its order."""
    tables = [_voxels_by_case(slices) for slices in (training, validation) if slices is not None]
    counts = {}
    for label in training.label_set:
        found = [table[:, label.value] for table in tables]
        cases = [int(np.count_nonzero(column)) for column in found]
        voxels = sum(int(column.sum()) for column in found)
        counts[label.name] = LabelCount(sum(cases), sum(cases[1:]), voxels)
    return counts


def label_remarks(counts: dict[str, LabelCount], validates: bool) -> list[str]:
    """Sentences on labels that cannot be learned or measured."""
    nowhere = [name for name, count in counts.items() if not count.cases]
    held_out = [name for name, count in counts.items() if count.cases and count.cases == count.validation_cases]
    once = [name for name, count in counts.items() if count.cases - count.validation_cases == 1]
    unmeasured = [name for name, count in counts.items() if count.cases and not count.validation_cases]
    remarks = []
    if nowhere:
        remarks.append(f"No case has {_listed(nowhere)}: the model cannot learn what it never sees.")
    if held_out:
        remarks.append(f"Only cases held out for validation have {_listed(held_out)}: hold out other cases.")
    if once:
        remarks.append(f"Only one case to train on has {_listed(once)}: add cases that have it.")
    if validates and unmeasured:
        remarks.append(f"No validation case has {_listed(unmeasured)}: how well it is found is not measured.")
    return remarks


def intensity_remarks(slices: SliceSet, window: tuple[float, float]) -> list[str]:
    """Sentences on cases that are not CT in Hounsfield units, as far as their windowed slices tell."""
    low, high = window
    water = -low / (high - low)
    if not 0 < water < 1:
        return []
    flat, bright = [], []
    for name, rows in _rows_of_cases(slices):
        darkest, brightest = float(slices.images[rows].min()), float(slices.images[rows].max())
        if brightest - darkest < 1e-3:
            flat.append(name)
        elif darkest >= water - 1e-3:
            bright.append(name)
    remarks = []
    if flat:
        remarks.append(f"{_cases(flat)} the same value everywhere between {low:g} and {high:g} HU: look at the scan.")
    if bright:
        remarks.append(
            f"{_cases(bright)} no value below 0 HU: an MR image, or a CT without its rescale offset; leave it out or "
            f"export it again."
        )
    return remarks


def grid_remarks(folder: Path, report: Reporter = SILENT) -> list[str]:
    """Sentences on scans that will be trained on in a way that their user may not expect; reads headers only.

    Raises:
        SAMedError: naming every case whose scan and labels do not lie on one grid; such data cannot be trained on.
        Cancelled: if the user asked to stop.
    """
    if not (folder / "dataset.json").exists():
        return []
    cases = DatasetFolder.open(folder).cases
    wrong, tilted, stretched = [], [], []
    for done, (name, files) in enumerate(cases.items()):
        report.progress(_STAGE, done, len(cases), name)
        image, labels = read_geometry(files.image), read_geometry(files.labels)
        if differences := grid_differences(image, labels):
            wrong.append(f"{name} ({', '.join(differences)})")
        if _tilt(image) > _TILT_DEGREES:
            tilted.append(name)
        if _stretch(image) > _STRETCH:
            stretched.append(name)
    report.progress(_STAGE, len(cases), len(cases))
    if wrong:
        raise SAMedError(
            f"In {len(wrong)} of {len(cases)} cases of {folder} the scan and its labels do not lie on one grid: "
            f"{_some(wrong)}; segment these again on the scan itself, or leave them out."
        )
    remarks = []
    if tilted:
        remarks.append(
            f"{_cases(tilted)} slices tilted by more than {_TILT_DEGREES:g} degrees: they are trained on as they are."
        )
    if stretched:
        remarks.append(f"{_cases(stretched)} slices that are not square: they are stretched to a square.")
    return remarks


def _voxels_by_case(slices: SliceSet) -> np.ndarray:
    """[cases, label values]."""
    classes = slices.label_set.num_classes
    return np.array(
        [np.bincount(slices.labels[rows].reshape(-1), minlength=classes) for _, rows in _rows_of_cases(slices)]
    )


def _rows_of_cases(slices: SliceSet) -> list[tuple[str, np.ndarray]]:
    names = np.array(slices.cases)
    return [(name, np.flatnonzero(names == name)) for name in slices.case_names]


def _tilt(geometry: Geometry) -> float:
    """Degrees between the slices' normal and the closest axis of the patient."""
    cosines = np.abs(np.reshape(geometry.direction, (3, 3)))
    return float(np.degrees(np.arccos(np.clip(cosines.max(axis=0).min(), 0, 1))))


def _stretch(geometry: Geometry) -> float:
    """By how much more the axial slices are stretched in one direction than in the other."""
    extent = np.multiply(geometry.size, geometry.spacing)
    axial = np.argmax(np.abs(np.reshape(geometry.direction, (3, 3)))[2])  # the index axis from feet to head
    one, other = np.delete(extent, axial)
    return float(max(one, other) / min(one, other) - 1)


def _cases(names: Sequence[str]) -> str:
    return f"{'Case' if len(names) == 1 else 'Cases'} {_listed(names)} {'has' if len(names) == 1 else 'have'}"


def _some(sentences: Sequence[str]) -> str:
    shown = "; ".join(sentences[:_SHOWN])
    return shown if len(sentences) <= _SHOWN else f"{shown}; and {len(sentences) - _SHOWN} more"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
