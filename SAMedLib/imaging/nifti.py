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

_BYTE_ORDERS = {struct.pack(order + "i", 348): order for order in "<>"}  # a header begins with its length
_HEADER_LENGTH = 348
_EXTENSIONS = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz")
_MAGICS = (b"n+1", b"ni1")  # voxels in the same file, or in another one
_KINDS = (2, 4, 8, 16, 32, 64, 128, *range(256, 2305, 256))  # of numbers, by the header's datatype
_UNPACKED_BEYOND = 1 << 24  # bytes that may follow the voxels
_FLOATS = {16: "f4", 64: "f8"}  # by the header's datatype
_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"
_switch = threading.Lock()


def check_header(path: Path) -> None:
    """Refuse sizes and places that are no such: ITK puts 1 or 0 in their stead and says nothing, or prints a report.

    Files that are not NIfTI pass.

    Raises:
        SAMedError: saying what is wrong with the header.
    """
    if not path.name.lower().endswith(_EXTENSIONS) or not path.is_file():
        return
    header = _first_bytes(_header_of(path))
    order = _BYTE_ORDERS.get(header[:4])
    if order is None or len(header) < _HEADER_LENGTH:
        raise SAMedError(f"{path} is not an image that can be read; give it as NIfTI, NRRD, MHA or DICOM.")
    if header[344:347] not in _MAGICS:
        raise SAMedError(f"{path} is of the format Analyze, which leaves left and right open; convert the CT to NIfTI.")
    count, *sizes = struct.unpack_from(order + "8h", header, 40)
    kind, start = (struct.unpack_from(order + form, header, at)[0] for form, at in (("h", 70), ("f", 108)))
    spacing = struct.unpack_from(order + "7f", header, 80)
    qform, sform = struct.unpack_from(order + "2h", header, 252)
    places = struct.unpack_from(order + "6f", header, 256) if qform > 0 else ()  # quaternion and offset
    places += struct.unpack_from(order + "12f", header, 280) if sform > 0 else ()  # the affine
    axes = max(0, min(count, 3))
    if min(sizes[:axes], default=0) < 1:
        described = " x ".join(map(str, sizes[:axes])) or "not stated"
        raise SAMedError(f"{path} is empty or damaged: its size is {described}; export it again.")
    if kind not in _KINDS:
        raise SAMedError(f"{path} is damaged: it holds numbers of an unknown kind; export it again.")
    # beside an affine, a voxel size that is no number is worth a note only (size_notes)
    numbers = (*places, start) if sform > 0 else (*spacing[:axes], *places, start)
    if not np.isfinite(numbers).all() or start < 0:
        raise SAMedError(f"{path} is damaged: entries of its geometry are no numbers; export it again.")
    if min(spacing[:axes]) < 0:  # ITK turns this axis around, and so left and right, whatever the affine says
        raise SAMedError(f"{path} has a voxel size below zero, which leaves left and right open; export it again.")


def _first_bytes(path: Path) -> bytes:
    """The header, or what there is of it."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as handle:
            return handle.read(_HEADER_LENGTH)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return b""


def _header_of(path: Path) -> Path:
    """The .hdr of an .img; other files are their own."""
    for ending in (".img.gz", ".img"):
        if path.name.lower().endswith(ending):
            stem = path.name[: -len(ending)]
            found = [path.with_name(stem + header) for header in (".hdr", ".HDR")]
            return next((header for header in found if header.is_file()), path)
    return path


def _voxels_of(path: Path) -> Path:
    """The .img of an .hdr; other files are their own."""
    if not path.name.lower().endswith(".hdr"):
        return path
    found = [path.with_name(path.name[:-4] + ending) for ending in (".img", ".img.gz", ".IMG")]
    return next((voxels for voxels in found if voxels.is_file()), found[0])


def check_complete(reader: sitk.ImageFileReader, path: Path) -> None:
    """Raises SAMedError if the file ends early: ITK fills what is missing with zeros and says nothing."""
    voxels = _voxels_of(path)
    if not voxels.is_file():
        raise SAMedError(f"{path} is only a header, and {voxels.name}, with its voxels, does not exist; add it.")
    needed = float(reader.GetMetaData("vox_offset"))
    needed += np.prod(reader.GetSize()) * int(reader.GetMetaData("bitpix")) / 8
    try:
        found = _uncompressed_size(voxels, at_most=needed + _UNPACKED_BEYOND)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SAMedError(f"{path} is damaged: its compressed data break off; get a fresh copy.") from error
    if voxels.suffix.lower() == ".gz" and found > needed + _UNPACKED_BEYOND:
        raise SAMedError(f"{path} unpacks to more than the {needed:.0f} bytes of its voxels; get a fresh copy.")
    if found < needed:
        raise SAMedError(f"{path} is damaged: it ends after {found} of {needed:.0f} bytes; get a fresh copy.")


def _uncompressed_size(path: Path, at_most: float) -> int:
    """Bytes in the file once unpacked; counting ends soon after `at_most`."""
    if path.suffix.lower() != ".gz":
        return path.stat().st_size
    size = 0
    with gzip.open(path) as handle:
        while size <= at_most and (chunk := handle.read(1 << 22)):
            size += len(chunk)
    return size


def without_value(path: Path, shape: tuple[int, int, int], frame: int = 0) -> np.ndarray | None:
    """Which voxels of a file of floats are not finite numbers: ITK reads them as 0, the HU of water, and says nothing.

    Args:
        shape: of a frame, (Z, Y, X).

    Returns:
        Boolean [Z, Y, X]; None where every voxel has a value, and for files that are no NIfTI.
    """
    if not path.name.lower().endswith(_EXTENSIONS):
        return None
    header = _first_bytes(_header_of(path))
    order = _BYTE_ORDERS.get(header[:4])
    if order is None:
        return None
    code, start = (struct.unpack_from(order + form, header, at)[0] for form, at in (("h", 70), ("f", 108)))
    if code not in _FLOATS:
        return None
    path = _voxels_of(path)
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as handle:
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
