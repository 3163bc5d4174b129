"""Segmentations as people have them: .seg.nrrd of 3D Slicer by segment name, label files by value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.grids import grid_differences
from SAMedLib.imaging.nrrd import check_header
from SAMedLib.imaging.volume import SEGMENTATION_EXTENSION, Geometry, Volume, read_labels
from SAMedLib.organs import LabelSet


def is_segmentation(path: Path) -> bool:
    """Whether the file names its segments (.seg.nrrd)."""
    return path.name.lower().endswith(SEGMENTATION_EXTENSION)


def segment_names(path: Path) -> list[str]:
    """Names of the segments in a .seg.nrrd file. Raises SAMedError if it is damaged or has none."""
    names = [str(segment.get("name", "")) for segment in _read(path, skip_voxels=True)["segments"]]
    if not names:
        raise SAMedError(f"{path} holds no segments; segment the organs first.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise SAMedError(f"{path} names two segments {repeated[0]!r}; give each its own name.")
    return names


def read_segments(path: Path, label_set: LabelSet, scan: Volume) -> tuple[np.ndarray, list[str]]:
    """Segments of a .seg.nrrd file on the scan's grid, by name.

    A segmentation may cover a part of the scan, or have another resolution: it is brought to the scan's voxels by the
    nearest one. Where segments overlap, the later in `label_set` wins.

    Returns:
        uint8 [Z,Y,X], and notes for the user. Organs without a segment are absent; other segments are left out.
    """
    segmentation = _read(path)
    voxels = np.asarray(segmentation["voxels"])
    layers = voxels[None] if voxels.ndim == 3 else voxels
    labels = np.zeros(layers.shape[1:], np.uint8)
    overlap = 0
    unused = []
    masks: dict[int, np.ndarray] = {}
    for segment in segmentation["segments"]:
        name, layer = str(segment.get("name", "")), int(segment.get("layer", 0))
        value = find_label(label_set, name)
        if value is None:
            unused.append(name)
        elif layer >= len(layers):
            raise SAMedError(f"{path} lacks the voxels of segment {name!r}; save it again from 3D Slicer.")
        else:
            mask = layers[layer] == int(segment.get("labelValue", 1))
            masks[value] = mask | masks.get(value, False)
    for value, mask in sorted(masks.items()):
        overlap += int(np.count_nonzero(labels[mask]))
        labels[mask] = value
    notes = []
    if unused:
        notes.append(f"{path.name}: left out {', '.join(unused)}.")
    if overlap:
        notes.append(f"{path.name}: {overlap} voxels lie in two segments; the later organ has them.")
    return _onto_scan(labels, segmentation["ijkToLPS"], scan, path, notes), notes


def read_values(path: Path, values: dict[int, int], scan: Volume) -> np.ndarray:
    """A label file on the scan's grid, its values translated by `values`.

    Returns:
        uint8 [Z,Y,X].

    Raises:
        SAMedError: if it has another grid, or values that are not in `values`.
    """
    labels = read_labels(path)
    if differences := grid_differences(scan.geometry, labels.geometry):
        raise SAMedError(
            f"{path} does not lie on the grid of its scan {scan.name}: {', '.join(differences)}; resample it."
        )
    present = np.flatnonzero(np.bincount(labels.array.reshape(-1), minlength=256))
    if unknown := [str(value) for value in present if value and value not in values]:
        raise SAMedError(
            f"{path} holds the value {', '.join(unknown)}; name every value, for example --labels liver=1,spleen=2."
        )
    table = np.zeros(256, np.uint8)
    table[list(values)] = list(values.values())
    return table[labels.array]


def find_label(label_set: LabelSet, name: str) -> int | None:
    """The value of the label with this name, None if there is none; case, spaces, '_' and '-' do not matter."""
    try:
        return label_set[name].value
    except SAMedError:
        return None


def _read(path: Path, skip_voxels: bool = False) -> dict:
    import slicerio

    check_header(path)
    try:
        return slicerio.read_segmentation(str(path), skip_voxels=skip_voxels)
    except Exception as error:  # the reader lets whatever a damaged header or a short file causes pass through
        raise SAMedError(f"{path} is damaged or no segmentation; save it again from 3D Slicer.") from error


def _onto_scan(labels: np.ndarray, ijk_to_lps: np.ndarray, scan: Volume, path: Path, notes: list[str]) -> np.ndarray:
    """labels [X,Y,Z] of the segmentation's grid, as [Z,Y,X] of the scan's."""
    matrix = np.asarray(ijk_to_lps, dtype=float)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if not (spacing > 0).all() or not np.isfinite(matrix).all():
        raise SAMedError(f"{path} has no valid geometry; save it again from 3D Slicer.")
    direction = matrix[:3, :3] / spacing
    geometry = Geometry(
        tuple(int(n) for n in labels.shape),
        tuple(float(v) for v in spacing),
        tuple(float(v) for v in matrix[:3, 3]),
        tuple(float(v) for v in direction.reshape(-1)),
    )
    array = np.ascontiguousarray(labels.transpose(2, 1, 0))
    if not grid_differences(scan.geometry, geometry):
        return array
    moved = _resample(array, geometry, scan.geometry)
    if array.any() and not moved.any():
        raise SAMedError(f"{path} lies outside its scan {scan.name}; pair it with the scan that it was made on.")
    if not np.allclose(geometry.spacing, scan.geometry.spacing, rtol=1e-3):
        notes.append(f"{path.name} has other voxels than its scan; the nearest ones are used.")
    return moved


def _resample(labels: np.ndarray, geometry: Geometry, target: Geometry) -> np.ndarray:
    source = sitk.GetImageFromArray(labels)
    geometry.apply_to(source)
    reference = sitk.Image([int(n) for n in target.size], sitk.sitkUInt8)
    target.apply_to(reference)
    return sitk.GetArrayFromImage(sitk.Resample(source, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
