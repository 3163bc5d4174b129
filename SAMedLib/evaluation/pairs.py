"""Predictions beside references: files matched by case name, labels mapped, grids compared. Nothing is resampled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SAMedLib.errors import SAMedError
from SAMedLib.evaluation.cases import Case
from SAMedLib.evaluation.labelfiles import Labels, case_of, check_same_grid, read_mapped
from SAMedLib.evaluation.mapping import SourceLabel
from SAMedLib.imaging.volume import IMAGE_EXTENSIONS, read_volume, window
from SAMedLib.organs import LabelSet


@dataclass(frozen=True)
class Understanding:
    """What the labels in files mean.

    Attributes:
        label_set: the labels evaluated.
        unnamed: what values mean in files that name nothing, None if they are those of `label_set`.
        predictions, references: the user's map for a side (`mapping.parse_map`), None without one.
    """

    label_set: LabelSet
    unnamed: Sequence[SourceLabel] | None = None
    predictions: Mapping[str, str] | None = None
    references: Mapping[str, str] | None = None


def pair_files(
    predictions: Path, references: Path, common_only: bool = False
) -> tuple[list[tuple[str, Path, Path]], str]:
    """(case, prediction, reference) of two files, or of two folders matched by case name.

    Args:
        common_only: score the cases that both folders have, instead of insisting on a prediction for every reference.

    Returns:
        The pairs sorted by case, and a sentence about files left out ("" if there are none).

    Raises:
        SAMedError: if nothing matches, a case is there twice, or a reference has no prediction.
    """
    for path in (predictions, references):
        if not path.exists():
            raise SAMedError(f"{path} does not exist; check the path.")
    if predictions.is_dir() != references.is_dir():
        folder, file = (predictions, references) if predictions.is_dir() else (references, predictions)
        raise SAMedError(f"{folder} is a folder and {file} a file; give two folders or two files.")
    if not predictions.is_dir():
        return [(case_of(references), predictions, references)], ""
    predicted, referenced = _label_files(predictions), _label_files(references)
    common = sorted(predicted.keys() & referenced.keys())
    if not common:
        raise SAMedError(
            f"No file of {predictions} ({_some(predicted)}) has the case name of one of {references} "
            f"({_some(referenced)}); give both the same names."
        )
    missing = sorted(referenced.keys() - predicted.keys())
    if missing and not common_only:
        raise SAMedError(
            f"{predictions} has no prediction for {_some(missing)} of {references}; add it, or score only the cases "
            "that both have with --common."
        )
    left_out = [f"without a prediction: {_some(missing)}"] if missing else []
    if extra := sorted(predicted.keys() - referenced.keys()):
        left_out.append(f"without a reference: {_some(extra)}")
    return [(case, predicted[case], referenced[case]) for case in common], "; ".join(left_out)


def read_cases(
    pairs: Sequence[tuple[str, Path, Path]],
    labels: Understanding,
    images: Path | None = None,
) -> Iterator[Case]:
    """Read one pair after the other, with its image if the folder `images` has one of that name.

    Raises:
        SAMedError: if a file cannot be read, its labels cannot be mapped, or the two grids differ.
    """
    pictures = _image_files(images) if images is not None else {}
    for case, prediction_path, reference_path in pairs:
        prediction = read_mapped(
            prediction_path, labels.label_set, labels.predictions, labels.unnamed, "--map-predictions"
        )
        reference = read_mapped(reference_path, labels.label_set, labels.references, labels.unnamed)
        check_same_grid(case, prediction, reference)
        geometry = reference.geometry or prediction.geometry
        spacing = None if geometry is None else geometry.spacing[::-1]
        direction = None if geometry is None else geometry.direction
        image = _image(pictures[case], reference) if case in pictures else None
        treatments = (f"predictions: {prediction.treatment}", f"references: {reference.treatment}")
        origin = None if geometry is None else geometry.origin
        files = {"prediction": prediction_path, "reference": reference_path}
        if case in pictures:
            files["image"] = pictures[case]
        yield Case(case, prediction.array, reference.array, spacing, direction, image, treatments, origin, files)


def _image(path: Path, reference: Labels) -> np.ndarray:
    volume = read_volume(path)
    check_same_grid(reference.path.name, Labels(volume.array, volume.geometry, path), reference)
    return window(volume.array)


def _label_files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.name.lower().endswith((*IMAGE_EXTENSIONS, ".h5")) or path.is_dir():
            continue
        case = case_of(path)
        if case in found:
            raise SAMedError(f"{folder} holds case {case} twice ({found[case].name} and {path.name}); remove one.")
        found[case] = path
    if not found:
        raise SAMedError(f"{folder} holds no label file (.nii.gz, .nrrd, .seg.nrrd, .mha, .npy.h5, ...).")
    return found


def _image_files(folder: Path) -> dict[str, Path]:
    """Images by case; nnU-Net's channel number (`case_0000.nii.gz`) is no part of the name."""
    if not folder.is_dir():
        raise SAMedError(f"{folder} is not a folder of images.")
    files = [path for path in sorted(folder.iterdir()) if path.name.lower().endswith(IMAGE_EXTENSIONS)]
    return {case_of(path).removesuffix("_0000"): path for path in files}


def _some(names: Sequence[str] | Mapping[str, Path]) -> str:
    listed = list(names)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")
