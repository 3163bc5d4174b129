"""Text in a NIfTI file, between header and voxels: the format's own place for comments, which ITK does not write."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

_HEADER = 348  # bytes; four more say whether extensions follow
_COMMENT = 6  # the extension's code for plain text
_VOXELS_AT = 108  # where the header says at which byte the voxels begin, as a float


def with_comment(nifti: bytes, text: str) -> bytes:
    """An uncompressed little-endian .nii without extensions, with this text in it.

    Args:
        nifti: as ITK writes it.
    """
    (start,) = struct.unpack_from("<f", nifti, _VOXELS_AT)
    content = text.encode("utf-8")
    size = 8 + len(content)
    size += -size % 16
    extension = struct.pack("<2i", size, _COMMENT) + content.ljust(size - 8, b"\0")
    header = bytearray(nifti[:_HEADER])
    struct.pack_into("<f", header, _VOXELS_AT, _HEADER + 4 + size)
    return bytes(header) + b"\1\0\0\0" + extension + nifti[int(start) :]


def read_comment(path: Path) -> str | None:
    """The first text in a .nii or .nii.gz, None if it holds none."""
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as handle:
        start = handle.read(_HEADER + 12)
        if len(start) < _HEADER + 12 or not start[_HEADER]:
            return None
        size, code = struct.unpack_from("<2i", start, _HEADER + 4)
        return handle.read(size - 8).rstrip(b"\0").decode("utf-8") if code == _COMMENT else None
