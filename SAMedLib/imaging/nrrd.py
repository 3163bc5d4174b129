"""Whether the voxels that a NRRD header (.nrrd, .nhdr) speaks of are there and whole, before ITK reads them."""

from __future__ import annotations

import math
import os
from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.compressed import check_stream
from SAMedLib.imaging.detached import check_detached

_LONGEST_HEADER = 1 << 24  # segmentations keep their terminology in it
_MAGIC = b"NRRD"
_GZIP = ("gzip", "gz")
# bytes of a number
_WIDTHS = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int"), 8),
    **dict.fromkeys(("uint64", "uint64_t", "double"), 8),
    "float": 4,
}


def check_header(path: Path) -> None:
    """Refuse a NRRD whose compressed voxels are damaged or whose data file is none; other files pass.

    What is wrong with the header itself, ITK says.

    Raises:
        SAMedError: saying what is wrong.
    """
    if not path.name.lower().endswith((".nrrd", ".nhdr")) or not path.is_file():
        return
    with open(path, "rb") as handle:
        start = handle.read(_LONGEST_HEADER)
    if not start.startswith(_MAGIC):
        return
    fields, length = _read_fields(start)
    data, begin = path, length
    if name := fields.get("data file") or fields.get("datafile"):
        if name.upper().startswith("LIST"):
            for line in start[length:].decode("utf-8", "surrogateescape").split("\n"):
                if line.strip():
                    check_detached(path, line.strip())
            return
        data, begin = check_detached(path, name), 0
    skipped = [fields.get(name, "0") for name in ("byte skip", "line skip", "byteskip", "lineskip")]
    if any(text.startswith("-") and text != "-1" for text in skipped):
        raise SAMedError(f"{path} is damaged: it skips a negative number of bytes; get a fresh copy.")
    needed = _bytes_of_voxels(fields)
    if needed is not None and fields.get("encoding", "").lower() in _GZIP and set(skipped) == {"0"}:
        if begin >= os.path.getsize(data):
            raise SAMedError(f"{path} is damaged: it ends before its voxels; get a fresh copy.")
        check_stream(data, begin, needed)


def _read_fields(start: bytes) -> tuple[dict[str, str], int]:
    """The header's fields, and its length in bytes with the empty line at its end."""
    fields: dict[str, str] = {}
    length = 0
    for line in start.split(b"\n"):
        length += len(line) + 1
        text = line.rstrip(b"\r").decode("utf-8", "surrogateescape")
        if not text:
            break
        name, found, value = text.partition(": ")
        if found and not text.startswith("#"):
            fields[name.strip().lower()] = value.strip()
            if fields.get("data file", "").upper().startswith("LIST"):  # the names of its files follow
                break
    return fields, length


def _bytes_of_voxels(fields: dict[str, str]) -> int | None:
    """None where the header does not say."""
    width = _WIDTHS.get(fields.get("type", "").lower())
    sizes = fields.get("sizes", "").split()
    if width is None or not sizes or not all(size.isdecimal() for size in sizes):
        return None
    return width * math.prod(map(int, sizes))
