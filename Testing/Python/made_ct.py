"""Small scans made on the spot: DICOM series with any headers, images with any orientation."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

# every way in which x, y, z can run along left/right, front/back and up/down
ORIENTATIONS = ["".join(letters) for axes in permutations(("RL", "AP", "IS")) for letters in product(*axes)]
OBLIQUE = (0.8660254037844387, -0.4698463103929541, 0.17101007166283433, 0.5, 0.8137976813493737, -0.2961981327260238)
OBLIQUE = (*OBLIQUE, 0.0, 0.3420201433256687, 0.9396926207859084)  # 30 degrees about z after 20 about x


def direction_of(code: str) -> tuple[float, ...]:
    return sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(code)


def soft_tissue(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """int16 HU [Z, Y, X]: noisy tissue with a bright blob off centre, in air."""
    z, y, x = np.indices(shape) / np.reshape(shape, (3, 1, 1, 1))
    hu = np.where((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.2, 30, -1000)
    hu = np.where((y - 0.4) ** 2 + (x - 0.3) ** 2 + (z - 0.3) ** 2 < 0.03, 160, hu)
    return (hu + np.random.default_rng(seed).normal(0, 12, shape)).astype(np.int16)


def write_image(path: Path, array: np.ndarray, **geometry) -> Path:
    """geometry: spacing, origin, direction as SimpleITK takes them."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.get("spacing", (1.0, 1.0, 1.0)))
    image.SetOrigin(geometry.get("origin", (0.0, 0.0, 0.0)))
    image.SetDirection(geometry.get("direction", (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    sitk.WriteImage(image, str(path))
    return path


def write_dicom_slice(path: Path, pixels: np.ndarray, position: tuple[float, float, float], **tags) -> None:
    """One CT slice: stored values [Y, X], HU = stored - 1024. `tags` overrides any element; None removes it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    elements = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "SeriesNumber": 1,
        "PatientName": "Secret^Name",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImagePositionPatient": [f"{value:.6f}" for value in position],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.9, 0.8],
        "SliceThickness": 3,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
    }
    for name, value in {**elements, **tags}.items():
        if value is not None:
            setattr(data, name, value)
    data.PixelData = pixels.astype("<i2").tobytes()
    data.save_as(path, enforce_file_format=True)


def write_dicom_series(folder: Path, hu: np.ndarray, positions: list[float], prefix: str = "", **tags) -> Path:
    """Slices hu[k] at z = positions[k] mm; file names say nothing about the order."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, z in enumerate(positions):
        name = f"{prefix}{(k * 7 + 3) % 101:03d}"
        write_dicom_slice(folder / name, hu[k].astype(np.int32) + 1024, (-12.5, -30.25, z), **tags)
    return folder
