"""Volumes in and label maps out: CT in NIfTI, NRRD, MetaImage and DICOM, and the geometry that ties them."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from SAMedLib.errors import SAMedError, is_out_of_memory
from SAMedLib.files import write_then_rename
from SAMedLib.imaging import metaimage, nifti, nrrd
from SAMedLib.imaging.checks import as_hounsfield, check_grid, intensity_notes
from SAMedLib.imaging.dicom import check_modality, read_dicom_folder
from SAMedLib.imaging.nifti_extension import with_comment
from SAMedLib.imaging.orientation import determinant
from SAMedLib.imaging.readers import DICOM, NIFTI, itk_name, open_reader
from SAMedLib.organs import Label, LabelSet

SEGMENTATION_EXTENSION = ".seg.nrrd"
LABEL_EXTENSIONS = (SEGMENTATION_EXTENSION, ".nii.gz", ".nii", ".nrrd", ".mha")
IMAGE_EXTENSIONS = (*LABEL_EXTENSIONS, ".nhdr", ".mhd", ".hdr", ".img.gz", ".img", ".dcm", ".ima")
_METADATA_KEY = "SAMed"
_NIFTI_DESCRIPTION_LENGTH = 79
_COMPRESSION = 6


@dataclass(frozen=True)
class Geometry:
    """Where a voxel grid lies in the patient, as SimpleITK says it.

    Attributes:
        size: voxels along x, y, z (the array is [Z, Y, X]).
        spacing: mm along x, y, z.
        origin: LPS position in mm of the centre of voxel (0, 0, 0).
        direction: 3 x 3, row-major; column j is the LPS direction of index axis j.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def voxel_ml(self) -> float:
        """The volume of one voxel in mL; axes that are not perpendicular (gantry tilt) make it smaller."""
        return abs(determinant(self.ijk_to_lps()[:3, :3].tolist())) / 1000.0

    def ijk_to_lps(self) -> np.ndarray:
        """4 x 4 matrix from voxel indices (x, y, z, 1) to LPS positions in mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix

    @classmethod
    def of(cls, image: sitk.Image) -> Geometry:
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def apply_to(self, image: sitk.Image) -> None:
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)


@dataclass(frozen=True)
class Volume:
    """Voxels and where they lie.

    Attributes:
        array: [Z, Y, X]; HU (int16 or float32) for CT, uint8 for labels.
        geometry: of the same size.
        name: the file's or folder's stem; nothing from its header, so no patient data.
        notes: sentences about the input that the user should see.
    """

    array: np.ndarray
    geometry: Geometry
    name: str
    notes: tuple[str, ...] = ()


def read_volume(path: Path | str, series: str | None = None, frame: int | None = None) -> Volume:
    """Read a CT in HU from an image file or a DICOM folder.

    Voxels that are not finite become air. Doubts that do not stop the work (no negative values, an orientation that
    the file does not state, ...) are in the volume's `notes`.

    Args:
        path: a NIfTI, NRRD, MetaImage or DICOM file, or a folder of DICOM slices.
        series: which DICOM series of a folder that holds several: its number or its UID.
        frame: which frame of a 4D file, from 0.

    Raises:
        SAMedError: if this is not a scalar 3D CT with a regular grid; the message says what it is.
    """
    path = Path(path)
    if not path.exists():
        raise SAMedError(f"{path} does not exist; check the path.")
    if path.is_dir():
        if frame is not None:
            raise SAMedError(f"{path} is a DICOM folder; --frame is for 4D files, use --series to choose a series.")
        image, notes = read_dicom_folder(path, series)
        check_grid(image, path)
    else:
        image, notes = _read_image(path, frame)
    values = sitk.GetArrayViewFromImage(image)
    missing = (
        nifti.without_value(path, values.shape, frame or 0) if path.is_file() and values.dtype.kind == "f" else None
    )
    array, more = as_hounsfield(values if missing is None else np.where(missing, np.nan, values), str(path))
    return Volume(array, Geometry.of(image), case_name(path), (*notes, *more, *intensity_notes(array, str(path))))


def read_geometry(path: Path | str) -> Geometry:
    """Where an image file's voxels lie; reads its header only.

    Raises:
        SAMedError: if it is no image of a kind that read_volume takes.
    """
    reader = open_reader(Path(path))
    with contextlib.ExitStack() as stack:
        try:
            _read_information(reader, stack)
        except RuntimeError as error:
            raise SAMedError(f"{path} is not an image that can be read; get a fresh copy.") from error
    if reader.GetDimension() != 3:
        raise SAMedError(f"{path} has {reader.GetDimension()} dimensions instead of three.")
    return Geometry(reader.GetSize(), reader.GetSpacing(), reader.GetOrigin(), reader.GetDirection())


def read_labels(path: Path | str) -> Volume:
    """Read a label map: .nii.gz, .nrrd, .mha, ..., or a .seg.nrrd whose segments share one layer.

    Returns:
        A volume with a uint8 array [Z, Y, X].

    Raises:
        SAMedError: if the file is not one, or holds values other than the integers 0..255.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a label map; give a file" if path.is_dir() else "does not exist; check the path"
        raise SAMedError(f"{path} {what}.")
    image, _ = _read_image(path, None)
    values = sitk.GetArrayViewFromImage(image)
    if values.dtype != np.uint8:
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 255):
            raise SAMedError(f"{path} is not a label map: its values are not all within 0..255.")
        if not np.array_equal(values, np.round(values)):
            raise SAMedError(f"{path} is not a label map: its values are not whole numbers.")
    return Volume(values.astype(np.uint8), Geometry.of(image), case_name(path))


def write_labels(
    path: Path | str,
    labels: np.ndarray,
    geometry: Geometry,
    label_set: LabelSet,
    *,
    present: Iterable[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write labels in exactly this geometry; the file appears complete or not at all.

    Args:
        path: .seg.nrrd for segments with names, colours and SNOMED codes, in one shared layer, as 3D Slicer reads them;
            .nii.gz, .nii, .nrrd or .mha for plain labels. NIfTI keeps geometry to its own float32 precision.
        labels: integers [Z, Y, X], values of `label_set`.
        present: names of the organs that a .seg.nrrd lists, all of the label set by default.
        metadata: what made the file, as JSON in the header field "SAMed" of .nrrd and .mha, and in the comment of
            NIfTI, whose header also holds the entry "description", cut at 79 characters.

    Raises:
        SAMedError: if the extension is not one of these, or the array does not fit the geometry.
    """
    path = check_label_path(path)
    if labels.shape != geometry.size[::-1]:
        raise SAMedError(f"Labels of shape {labels.shape} do not fit a grid of {geometry.size[::-1]} (Z, Y, X).")
    labels = labels.astype(np.uint8, copy=False)
    metadata = dict(metadata or {})
    chosen = label_set.labels if present is None else label_set.select(present)
    with write_then_rename(path) as temporary:
        if path.name.lower().endswith(SEGMENTATION_EXTENSION):
            _write_segments(temporary, labels, geometry, chosen, metadata)
        else:
            write_array(temporary, labels, geometry, metadata)


def write_array(path: Path, array: np.ndarray, geometry: Geometry, metadata: Mapping[str, Any] | None = None) -> None:
    """Write any [Z, Y, X] array with SimpleITK, compressed, with the metadata that `write_labels` describes."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    geometry.apply_to(image)
    if metadata and ".nii" in path.name.lower():
        image.SetMetaData("ITK_FileNotes", str(metadata.get("description", ""))[:_NIFTI_DESCRIPTION_LENGTH])
        _write_nifti(path, image, metadata)
    else:
        if metadata:
            image.SetMetaData(_METADATA_KEY, json.dumps(metadata))
        sitk.WriteImage(image, itk_name(path), useCompression=True)
    _check_written(path, array)


def _write_nifti(path: Path, image: sitk.Image, metadata: Mapping[str, Any]) -> None:
    """By way of a plain .nii beside it, into which the metadata go before it is compressed."""
    plain = path.with_name("plain.nii")
    sitk.WriteImage(image, itk_name(plain))
    content = with_comment(plain.read_bytes(), json.dumps(metadata))
    plain.unlink()
    if path.suffix.lower() == ".gz":
        content = gzip.compress(content, compresslevel=_COMPRESSION, mtime=0)  # no time: same input, same bytes
    path.write_bytes(content)


def _check_written(path: Path, array: np.ndarray) -> None:
    """ITK's writers of NIfTI and NRRD say nothing of a disk that has become full: read the file, and compare."""
    reader = open_reader(Path(path))
    with contextlib.suppress(RuntimeError, SAMedError), contextlib.ExitStack() as stack:
        _read_information(reader, stack)
        image = reader.Execute()
        written = sitk.GetArrayViewFromImage(image)
        # slice by slice: what a comparison of all makes is as large as the labels
        if written.shape == array.shape and all(map(_same, written, array)):
            return
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _same(plane: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(plane, other, equal_nan=plane.dtype.kind == "f")


def check_label_path(path: Path | str) -> Path:
    """Raises SAMedError unless labels can be written in the format that the path's extension names."""
    path = Path(path)
    if not path.name.lower().endswith(LABEL_EXTENSIONS):
        raise SAMedError(f"{path} has no extension for labels; end it in one of {', '.join(LABEL_EXTENSIONS)}.")
    return path


def case_name(path: Path | str) -> str:
    """The file's name without its image extension, or the folder's name."""
    path = Path(os.path.abspath(path))  # not resolve(): a link's own name is the case's
    if not path.is_dir():
        for extension in IMAGE_EXTENSIONS:
            if path.name.lower().endswith(extension):
                return path.name[: -len(extension)] or path.name
    return path.name


def label_counts(labels: np.ndarray) -> np.ndarray:
    """How many voxels of a uint8 [Z, Y, X] array have each value 0..255; int64 [256]."""
    # slice by slice: bincount works on a copy eight times as large as what it is given
    counts = np.zeros(256, dtype=np.int64)
    for plane in labels:
        counts += np.bincount(plane.ravel(), minlength=256)
    return counts


def window(hu: np.ndarray, low: float = -125.0, high: float = 275.0) -> np.ndarray:
    """Clip Hounsfield units to [low, high] and scale to [0, 1]; NaN counts as air, 0.

    Args:
        hu: CT intensities in HU, any shape.
        low, high: window bounds in HU; the published SAMed uses [-125, 275].

    Returns:
        float32 array of the same shape.

    Raises:
        SAMedError: if the window is empty.
    """
    if not high > low:
        raise SAMedError(f"The window [{low}, {high}] HU is empty; its upper bound must be the larger one.")
    scaled = np.clip(np.asarray(hu, dtype=np.float32), np.float32(low), np.float32(high))
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    return np.nan_to_num(scaled, copy=False, nan=0.0)


def _read_image(path: Path, frame: int | None) -> tuple[sitk.Image, tuple[str, ...]]:
    """One scalar 3D image; a 2D one becomes a single slice."""
    reader = open_reader(Path(path))
    with contextlib.ExitStack() as stack:
        try:
            _read_information(reader, stack)
        except RuntimeError as error:
            raise SAMedError(
                f"{path} is not an image that can be read; give it as NIfTI, NRRD, MHA or DICOM."
            ) from error
        notes = _check_kind(reader, path)
        check_grid(reader, path)
        _choose_frame(reader, path, reader.GetSize(), frame)
        try:
            image = reader.Execute()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            np.empty(2 * 8 * math.prod(reader.GetSize()), np.uint8)  # MemoryError, where it is that: ITK does not say
            raise SAMedError(f"{path} is damaged: its voxels cannot be read; get a fresh copy.") from error
    return (sitk.JoinSeries(image) if image.GetDimension() == 2 else image), notes


def _read_information(reader: sitk.ImageFileReader, stack: contextlib.ExitStack) -> None:
    path = Path(reader.GetFileName())
    if reader.GetImageIO() != DICOM:  # whatever the name says
        nifti.check_header(path)
        metaimage.check_header(path)
        nrrd.check_header(path)
    try:
        with nifti.as_stated():
            reader.ReadImageInformation()
    except RuntimeError as error:
        if "orthonormal" not in str(error).lower():
            raise
        stack.enter_context(nifti.straightened())
        reader.ReadImageInformation()


def _check_kind(reader: sitk.ImageFileReader, path: Path) -> tuple[str, ...]:
    """Refuse contents that cannot be a CT; notes on its orientation."""
    if reader.GetNumberOfComponents() != 1:
        count = reader.GetNumberOfComponents()
        raise SAMedError(
            f"{path} holds {count} values per voxel (colour or vectors), a CT one; export it as grey values."
        )
    if reader.GetImageIO() == DICOM:
        check_modality(reader, path)
        if reader.GetSize()[-1] == 1:
            return (f"{path} is a single slice; give its folder for the whole series.",)
    if reader.GetImageIO() == NIFTI:
        nifti.check_complete(reader, path)
        return (*nifti.size_notes(reader, path), *nifti.orientation_notes(reader, path))
    return ()


def _choose_frame(reader: sitk.ImageFileReader, path: Path, size: Sequence[int], frame: int | None) -> None:
    if len(size) <= 3:
        if frame:
            raise SAMedError(f"{path} is not 4D; leave --frame out.")
        return
    shape = " x ".join(map(str, size))
    if len(size) > 4:
        raise SAMedError(f"{path} holds {len(size)} dimensions ({shape}); a CT has three.")
    if frame is None and size[3] > 1:
        raise SAMedError(f"{path} holds 4 dimensions ({shape}); segment one frame at a time, for example --frame 0.")
    frame = frame or 0
    if not 0 <= frame < size[3]:
        raise SAMedError(f"{path} has the frames 0 to {size[3] - 1}; there is no frame {frame}.")
    reader.SetExtractIndex([0, 0, 0, frame])
    reader.SetExtractSize([*size[:3], 0])


def _write_segments(
    path: Path, labels: np.ndarray, geometry: Geometry, chosen: Sequence[Label], metadata: Mapping[str, Any]
) -> None:
    import slicerio

    segmentation = {
        "voxels": labels.transpose(2, 1, 0),
        "ijkToLPS": geometry.ijk_to_lps(),
        "containedRepresentationNames": ["Binary labelmap"],
        _METADATA_KEY: json.dumps(metadata),
        "segments": [_segment(label) for label in chosen],
    }
    slicerio.write_segmentation(itk_name(path), segmentation, compression_level=_COMPRESSION)
    # the writer notes the time in comments; the same input shall give the same bytes
    header, end, voxels = path.read_bytes().partition(b"\n\n")
    kept = [line for line in header.split(b"\n") if not line.startswith(b"#")]
    path.write_bytes(b"\n".join(kept) + end + voxels)
    _check_written(path, labels)


def _segment(label: Label) -> dict[str, Any]:
    segment: dict[str, Any] = {
        "id": label.name.replace(" ", "_"),
        "name": label.name,
        "color": [round(channel / 255, 6) for channel in label.color],
        "labelValue": label.value,
        "layer": 0,
    }
    if label.code:
        terminology: dict[str, Any] = {
            "contextName": "Segmentation category and type - 3D Slicer General Anatomy list",
            "category": ["SCT", "123037004", "Anatomical Structure"],
            "type": ["SCT", label.code.value, label.code.meaning],
            "anatomicContextName": "Anatomic codes - DICOM master list",
        }
        if label.modifier:
            terminology["typeModifier"] = ["SCT", label.modifier.value, label.modifier.meaning]
        segment["terminology"] = terminology
    return segment
