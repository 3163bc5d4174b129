"""Cases that a model segments on the spot: a prepared test set, or a dataset folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from SAMedLib.data.dataset_index import INDEX_NAME
from SAMedLib.data.folders import DatasetFolder
from SAMedLib.data.prepared import ORIENTATION, WINDOW, list_test_cases, read_test_case
from SAMedLib.errors import SAMedError
from SAMedLib.evaluation.cases import Case
from SAMedLib.evaluation.mapping import SourceLabel, apply_map, code_of, describe, resolve
from SAMedLib.events import SILENT, Reporter
from SAMedLib.imaging.orientation import reorient, restore
from SAMedLib.imaging.volume import window
from SAMedLib.inference import Segmenter
from SAMedLib.organs import SYNAPSE, LabelSet

# the LPS direction in which an index axis increases, by its letter
_DIRECTIONS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}


def case_names(data: Path) -> list[str]:
    """The cases of a prepared set (or its `test_vol_h5`) or of a dataset folder, in order.

    Raises:
        SAMedError: if it is neither, or has no cases.
    """
    if not data.is_dir():
        raise SAMedError(f"{data} is not a folder; give a prepared set (test_vol_h5) or a folder with {INDEX_NAME}.")
    names = list(DatasetFolder.open(data).cases) if _is_dataset(data) else list_test_cases(data)
    if not names:
        raise SAMedError(f"{data} holds no cases to evaluate on.")
    return names


def has_spacing(data: Path) -> bool:
    """Whether the cases say how large a voxel is; prepared sets do not."""
    return _is_dataset(data)


def predict_cases(
    segmenter: Segmenter,
    data: Path,
    label_set: LabelSet,
    mapping: Mapping[str, str] | None = None,
    report: Reporter = SILENT,
) -> Iterator[Case]:
    """Segment one case after the other by the published test protocol.

    Args:
        label_set: the labels evaluated; the model's and the data's own labels are matched to it by name or code.
        mapping: the user's map for the data's labels instead.

    Raises:
        SAMedError: if a case cannot be read, labels cannot be matched, or the data were windowed for another model.
    """
    predicted = _sources(segmenter.model.metadata.label_set)
    cases = _of_dataset(segmenter, data, report) if _is_dataset(data) else _of_prepared(segmenter, data, report)
    for case, sources in cases:
        found = resolve(predicted, label_set, None, "The model", None)
        wanted = resolve(sources, label_set, mapping, str(data))
        assert found is not None
        assert wanted is not None
        yield Case(
            case.name,
            apply_map([case.prediction], found, "The model"),
            apply_map([case.reference], wanted, str(data)),
            case.spacing,
            case.direction,
            case.image,
            (
                f"predictions: {describe(predicted, found, label_set)}",
                f"references: {describe(sources, wanted, label_set)}",
            ),
            case.origin,
        )


def _is_dataset(data: Path) -> bool:
    return (data / INDEX_NAME).is_file()


def _of_dataset(segmenter: Segmenter, data: Path, report: Reporter) -> Iterator[tuple[Case, list[SourceLabel]]]:
    dataset = DatasetFolder.open(data)
    sources = _sources(dataset.label_set)
    for name in dataset.cases:
        volume, labels = dataset.read(name)
        geometry = volume.geometry
        image = window(volume.array, *segmenter.model.metadata.window)
        prediction = segmenter.segment(volume, report)
        spacing, direction, origin = geometry.spacing[::-1], geometry.direction, geometry.origin
        yield Case(name, prediction, labels, spacing, direction, image, origin=origin), sources


def _of_prepared(segmenter: Segmenter, data: Path, report: Reporter) -> Iterator[tuple[Case, list[SourceLabel]]]:
    metadata = segmenter.model.metadata
    if tuple(metadata.window) != WINDOW:
        raise SAMedError(
            f"{data} was prepared with the window {list(WINDOW)} HU, but the model sees {list(metadata.window)}; "
            "evaluate it on a folder of scans."
        )
    columns = np.array([_DIRECTIONS[letter] for letter in ORIENTATION], dtype=float)
    direction = tuple(float(entry) for entry in columns.T.reshape(-1))
    sources = _sources(SYNAPSE)
    for name in list_test_cases(data):
        image, labels = read_test_case(data, name)
        turned = np.ascontiguousarray(reorient(image, direction, metadata.orientation))
        prediction = restore(segmenter.predict(turned, report), direction, metadata.orientation)
        yield Case(name, np.ascontiguousarray(prediction), labels, None, direction, image), sources


def _sources(label_set: LabelSet) -> list[SourceLabel]:
    return [SourceLabel(label.value, label.name, code_of(label)) for label in label_set]
