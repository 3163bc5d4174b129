"""What NIfTI files need beyond ITK's reader: a check that they are whole, and affines that are not quite a grid."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SAMedLib.errors import SAMedError

READER = "NiftiImageIO"
_BYTE_ORDERS = {struct.pack(order + "i", 348): order for order in "<>"}  # a header begins with its length
_FLOATS = {16: "f4", 64: "f8"}  # by the header's datatype
_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"
_switch = threading.Lock()


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


def without_value(path: Path, shape: tuple[int, int, int], frame: int = 0) -> np.ndarray | None:
    """Which voxels of a file of floats are not finite numbers: ITK reads them as 0, the HU of water, and says nothing.

    Args:
        shape: of a frame, (Z, Y, X).

    Returns:
        Boolean [Z, Y, X]; None where every voxel has a value, and for other types and layouts than .nii and .nii.gz.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return None
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as handle:
        header = handle.read(348)
        order = _BYTE_ORDERS.get(header[:4])
        if order is None:
            return None
        code, start = (struct.unpack_from(order + form, header, at)[0] for form, at in (("h", 70), ("f", 108)))
        if code not in _FLOATS:
            return None
        kind = np.dtype(order + _FLOATS[code])
        plane = shape[1] * shape[2] * kind.itemsize
        handle.seek(int(start) + frame * shape[0] * plane)
        missing = np.zeros(shape, dtype=bool)
        for index in range(shape[0]):  # plane by plane: the whole file as floats may not fit beside the image
            missing[index] = ~np.isfinite(np.frombuffer(handle.read(plane), dtype=kind).reshape(shape[1:]))
    return missing if missing.any() else None


@contextlib.contextmanager
def straightened() -> Iterator[None]:
    """Let ITK read affines whose axes are not perpendicular, as the nearest ones that are.

    The switch is the whole process's, so one thread at a time is in here, and as_stated() waits for it.
    """
    with _switch:
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


def as_stated() -> contextlib.AbstractContextManager:
    """While no thread reads straightened."""
    return _switch


def size_notes(reader: sitk.ImageFileReader, path: Path) -> tuple[str, ...]:
    """Whether the affine and the voxel size of the header agree, once the file's information is read.

    ITK takes the header's, and 1 mm where that is no length; other programs take the affine's.
    """
    if reader.GetMetaData("sform_code") == "0":
        return ()
    rows = [reader.GetMetaData(f"srow_{axis}").split()[:3] for axis in "xyz"]
    affine = np.linalg.norm(np.array(rows, dtype=float), axis=0)
    header = np.abs((*reader.GetSpacing()[:3], *affine[reader.GetDimension() :]))
    if np.allclose(affine, header, rtol=0.01):
        return ()
    sizes = [" x ".join(f"{length:.3g}" for length in lengths) for lengths in (header, affine)]
    return (
        f"{path} states two voxel sizes, {sizes[0]} mm in its header and {sizes[1]} mm in its affine; the first is "
        "used, so do not trust places and mL.",
    )


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
