"""What NIfTI files need beyond ITK's reader: a check that they are whole, and affines that are not quite a grid."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SAMedLib.errors import SAMedError

READER = "NiftiImageIO"
_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"


def check_complete(reader: sitk.ImageFileReader, path: Path) -> None:
    """Raises SAMedError if the file ends early: ITK fills what is missing with zeros and says nothing."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return
    needed = float(reader.GetMetaData("vox_offset"))
    needed += np.prod(reader.GetSize()) * int(reader.GetMetaData("bitpix")) / 8
    try:
        found = _uncompressed_size(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SAMedError(f"{path} is damaged: its compressed data break off; get a fresh copy.") from error
    if found < needed:
        raise SAMedError(f"{path} is damaged: it ends after {found} of {needed:.0f} bytes; get a fresh copy.")


def _uncompressed_size(path: Path) -> int:
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    size = 0
    with gzip.open(path) as handle:
        while chunk := handle.read(1 << 22):
            size += len(chunk)
    return size


@contextlib.contextmanager
def straightened() -> Iterator[None]:
    """Let ITK read affines whose axes are not perpendicular, as the nearest ones that are."""
    before = os.environ.get(_PERMISSIVE)
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    os.environ[_PERMISSIVE] = "YES"
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)
        if before is None:
            del os.environ[_PERMISSIVE]
        else:
            os.environ[_PERMISSIVE] = before


def orientation_notes(reader: sitk.ImageFileReader, path: Path) -> tuple[str, ...]:
    """What the user should know of the affine, once the file's information is read.

    Raises:
        SAMedError: if straightening moved some voxel by half a voxel or more: slices of a tilted gantry, say.
    """
    if all(reader.GetMetaData(key) == "0" for key in ("qform_code", "sform_code")):
        return (f"{path} does not state its orientation (qform and sform codes are 0); left and right are a guess.",)
    if reader.GetMetaData("ITK_sform_corrected") != "YES":
        return ()
    moved = _largest_shift(reader)
    if moved >= 0.5 * min(reader.GetSpacing()):
        raise SAMedError(
            f"{path} has skewed axes (up to {moved:.1f} mm from a rectangular grid, a tilted gantry perhaps); "
            "resample it to a rectangular grid first, for example in 3D Slicer."
        )
    return (f"{path} has axes that are not quite perpendicular; they are straightened, by up to {moved:.2g} mm.",)


def _largest_shift(reader: sitk.ImageFileReader) -> float:
    """mm between where the file and where ITK put the grid's corners."""
    stated = np.array([[float(v) for v in reader.GetMetaData(f"srow_{axis}").split()] for axis in "xyz"])
    stated[:2] *= -1  # RAS to LPS
    read = np.column_stack(
        [np.reshape(reader.GetDirection()[:9], (3, 3)) * np.array(reader.GetSpacing()[:3]), reader.GetOrigin()[:3]]
    )
    corners = itertools.product(*((0, size - 1) for size in reader.GetSize()[:3]))
    return max(float(np.linalg.norm((stated - read) @ [*corner, 1])) for corner in corners)
