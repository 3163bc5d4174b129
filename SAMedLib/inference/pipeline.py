"""One scan from file to file: read, segment, clean up, measure, write."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from SAMedLib import __version__
from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.files import write_then_rename
from SAMedLib.imaging.organ_volumes import OrganVolume, organ_volumes
from SAMedLib.imaging.overview import write_overview
from SAMedLib.imaging.volume import (
    SEGMENTATION_EXTENSION,
    Geometry,
    check_label_path,
    read_labels,
    read_volume,
    write_array,
    write_labels,
)
from SAMedLib.inference.postprocess import keep_largest, select_organs
from SAMedLib.inference.segmenter import Segmenter
from SAMedLib.model import ModelMetadata


@dataclass(frozen=True)
class Choices:
    """What the user wants of every scan.

    Attributes:
        model: the model's name, as results state it.
        organs: names of the organs to keep, () for all.
        keep_largest: drop all but the largest component of each organ.
        series: which DICOM series of a folder with several.
        frame: which frame of a 4D file.
    """

    model: str
    organs: tuple[str, ...] = ()
    keep_largest: bool = False
    series: str | None = None
    frame: int | None = None


@dataclass(frozen=True)
class Outputs:
    """Where the results of one scan go; None for what is not wanted."""

    labels: Path
    confidence: Path | None = None
    overview: Path | None = None


def segment_file(
    segmenter: Segmenter, source: Path, outputs: Outputs, choices: Choices, report: Reporter = SILENT
) -> list[OrganVolume]:
    """Segment one scan and write the results; the labels come last, so that their file means that all is done.

    Returns:
        the volumes of the chosen organs.

    Raises:
        SAMedError: if the input is not a CT, or an output cannot be written.
        Cancelled: if the user asked to stop; nothing is written then.
    """
    metadata = segmenter.model.metadata
    report.progress("reading", 0, 1)
    volume = read_volume(source, series=choices.series, frame=choices.frame)
    report.progress("reading", 1, 1)
    for note in volume.notes:
        report.note(note)
    confidence = None
    if outputs.confidence:
        labels, confidence = segmenter.segment_with_confidence(volume, report)
    else:
        labels = segmenter.segment(volume, report)
    labels = clean_up(labels, metadata, choices)
    report.progress("writing", 0, 1)
    record = describe(metadata, choices, segmenter)
    geometry = volume.geometry
    if confidence is not None and outputs.confidence:
        _write_confidence(outputs.confidence, confidence, geometry, record)
    if outputs.overview:
        footer = f"{metadata.config.title}, model {choices.model}. {notice(metadata)}"
        write_overview(outputs.overview, volume, labels, metadata.label_set, footer)
    del volume, confidence  # writing takes several times the labels' memory
    write_labels(
        outputs.labels,
        labels,
        geometry,
        metadata.label_set,
        present=choices.organs or None,
        metadata=record,
    )
    with contextlib.suppress(Cancelled):  # it is all there; who asked too late gets the result
        report.progress("writing", 1, 1)
    return _chosen_volumes(labels, geometry, metadata, choices)


def measure_file(labels: Path, metadata: ModelMetadata, choices: Choices) -> list[OrganVolume]:
    """The volumes of the chosen organs in a label map that `segment_file` wrote."""
    volume = read_labels(labels)
    return _chosen_volumes(volume.array, volume.geometry, metadata, choices)


def clean_up(labels: np.ndarray, metadata: ModelMetadata, choices: Choices) -> np.ndarray:
    """Drop what was not asked for: other organs, and islands."""
    if choices.organs:
        labels = select_organs(labels, metadata.label_set, choices.organs)
    return keep_largest(labels) if choices.keep_largest else labels


def notice(metadata: ModelMetadata) -> str:
    """What everyone who sees a result must know about the model."""
    if metadata.demonstration:
        return "Demonstration model: not for patients."
    return "For research: not a medical device."


def describe(metadata: ModelMetadata, choices: Choices, segmenter: Segmenter) -> dict[str, Any]:
    """What a result file says about its making; nothing about the patient."""
    facts = metadata.to_json()
    del facts["label_set"]
    return {
        "description": f"{notice(metadata)} {metadata.config.title} {choices.model}, SAMedLib {__version__}",
        "notice": notice(metadata),
        "software": f"SAMedLib {__version__}",
        "model": choices.model,
        "labels": {label.name: label.value for label in metadata.label_set},
        "organs": list(choices.organs) or list(metadata.label_set.names),
        "keep_largest": choices.keep_largest,
        "precision": str(segmenter.dtype).removeprefix("torch."),
        "test_time_augmentation": segmenter.tta,
        "stride": segmenter.stride,
        "model_metadata": facts,
    }


def check_confidence_path(path: Path) -> Path:
    """Raises SAMedError unless a map of float32 values can be written in the format of this extension."""
    if check_label_path(path).name.lower().endswith(SEGMENTATION_EXTENSION):
        raise SAMedError(f"{path} is for segments; write the confidence as .nii.gz, .nii, .nrrd or .mha.")
    return path


def _write_confidence(path: Path, confidence: np.ndarray, geometry: Geometry, record: dict[str, Any]) -> None:
    with write_then_rename(check_confidence_path(path)) as temporary:
        write_array(temporary, confidence, geometry, record)


def _chosen_volumes(
    labels: np.ndarray, geometry: Geometry, metadata: ModelMetadata, choices: Choices
) -> list[OrganVolume]:
    chosen: Sequence[str] = choices.organs or metadata.label_set.names
    values = {label.value for label in metadata.label_set.select(chosen)}
    return [organ for organ in organ_volumes(labels, geometry.voxel_ml, metadata.label_set) if organ.value in values]
