"""One label file in any format, as labels of the set that is evaluated, on its own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SAMedLib.errors import SAMedError
from SAMedLib.evaluation.mapping import SourceLabel, apply_map, describe, resolve
from SAMedLib.imaging.grids import grid_differences
from SAMedLib.imaging.nrrd import check_header
from SAMedLib.imaging.readers import NRRD, reader_of_kind
from SAMedLib.imaging.volume import Geometry, case_name, read_labels
from SAMedLib.organs import LabelSet

PREPARED_EXTENSION = ".npy.h5"  # test volumes of the prepared Synapse set, which carry no geometry
_SEGMENTS = ".seg.nrrd"


@dataclass(frozen=True)
class Labels:
    """Labels of the evaluated label set on their grid.

    Attributes:
        geometry: None where the format has none.
        treatment: how the file's labels were understood, for the report.
    """

    array: np.ndarray
    geometry: Geometry | None
    path: Path
    treatment: str = ""


def read_mapped(
    path: Path,
    label_set: LabelSet,
    explicit: Mapping[str, str] | None = None,
    unnamed: Sequence[SourceLabel] | None = None,
    option: str = "--map",
) -> Labels:
    """Labels of one file, as labels of `label_set`.

    Names and codes come from a .seg.nrrd's segments, from a `dataset.json` beside or above the file, or else from
    `unnamed`. Without any and without a map (`explicit`) the values are taken as they are. `option` is how the user
    gives that map.

    Raises:
        SAMedError: if the file cannot be read or its labels cannot be mapped.
    """
    name = path.name.lower()
    if name.endswith(_SEGMENTS):
        layers, geometry, sources = _read_segments(path)
    elif name.endswith(".h5"):
        layers, geometry, sources = [_read_prepared(path)], None, None
    else:
        volume = read_labels(path)
        layers, geometry, sources = [volume.array], volume.geometry, _dataset_labels(path)
    sources = unnamed if sources is None else sources
    mapping = resolve(sources, label_set, explicit, str(path), option)
    treatment = describe(sources, mapping, label_set)
    if mapping is not None:
        return Labels(apply_map(layers, mapping, str(path), option), geometry, path, treatment)
    if layers[0].size and layers[0].max() > len(label_set.labels):
        raise SAMedError(
            f"{path} holds the label {layers[0].max()}, but {label_set.name} ends at {len(label_set.labels)} "
            f"({label_set.names[-1]}); say which value is which organ with {option} VALUE=ORGAN,..."
        )
    return Labels(layers[0], geometry, path, treatment)


def check_same_grid(case: str, prediction: Labels, reference: Labels) -> None:
    """Raises SAMedError that says how the grids differ; without a geometry only the shapes are compared."""
    # where one has no geometry, both are looked at as bare arrays
    bare = prediction.geometry is None or reference.geometry is None
    grids = [Geometry(one.array.shape[::-1]) if bare else one.geometry for one in (prediction, reference)]
    differences = grid_differences(*grids)
    if differences:
        raise SAMedError(
            f"Case {case}: {prediction.path} and {reference.path} lie on different grids ({', '.join(differences)}); "
            "bring one onto the other's grid first, nothing is resampled here."
        )


def _read_segments(path: Path) -> tuple[list[np.ndarray], Geometry, list[SourceLabel]]:
    """The layers of a .seg.nrrd, its grid and its segments."""
    import nrrd
    import slicerio

    check_header(path)
    try:
        segments = slicerio.read_segmentation(str(path), skip_voxels=True)["segments"]
        image = reader_of_kind(NRRD, path).Execute()
    except (OSError, RuntimeError, ValueError, KeyError, nrrd.NRRDError) as error:
        raise SAMedError(f"{path} is no segmentation that can be read ({error}); save it again.") from error
    array = sitk.GetArrayFromImage(image)
    if array.min() < 0 or array.max() > 255:
        raise SAMedError(f"{path} holds values outside 0..255; segment values are bytes.")
    layers = [array] if image.GetNumberOfComponentsPerPixel() == 1 else list(np.moveaxis(array, -1, 0))
    sources = [
        SourceLabel(int(one.get("labelValue", 1)), one.get("name"), _code(one), int(one.get("layer", 0)))
        for one in segments
    ]
    return [layer.astype(np.uint8) for layer in layers], Geometry.of(image), sources


def _code(segment: dict) -> str | None:
    terminology = segment.get("terminology") or {}
    kind, modifier = terminology.get("type"), terminology.get("typeModifier")
    if not kind or kind[0] != "SCT":
        return None
    return f"{kind[1]}/{modifier[1]}" if modifier and modifier[1] else kind[1]


def _read_prepared(path: Path) -> np.ndarray:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            values = np.asarray(file["label"])
    except (OSError, KeyError) as error:
        raise SAMedError(
            f"{path} is no prepared test volume (an HDF5 file with a dataset `label`): {error}."
        ) from error
    labels = values.astype(np.uint8)
    if labels.ndim != 3 or not np.array_equal(labels, values):
        raise SAMedError(f"{path} holds no label volume: its `label` is not three-dimensional with values 0..255.")
    return labels


def _dataset_labels(path: Path) -> list[SourceLabel] | None:
    """The labels that the nnU-Net or MSD `dataset.json` beside or above the file lists, None without one."""
    from SAMedLib.data.dataset_index import INDEX_NAME, read_index, read_labels_of

    for folder in (path.parent, path.parent.parent):
        if (folder / INDEX_NAME).is_file():
            names = read_labels_of(read_index(folder), folder / INDEX_NAME)
            return [SourceLabel(value, name) for value, name in names.items()]
    return None


def case_of(path: Path) -> str:
    """The case that a file belongs to: its name without the extension."""
    for extension in (PREPARED_EXTENSION, ".h5"):
        if path.name.lower().endswith(extension):
            return path.name[: -len(extension)]
    return case_name(path)
