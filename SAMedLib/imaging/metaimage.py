"""Whether a MetaImage file (.mha, .mhd) is whole, found out before ITK prints a report of its own about it."""

from __future__ import annotations

import math
import os
from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.compressed import check_stream
from SAMedLib.imaging.detached import check_detached

_LONGEST_HEADER = 1 << 16
_DATA = "ElementDataFile"  # the header's last entry
_REQUIRED = ("NDims", "DimSize", "ElementType")
# numbers per entry: this power of the number of dimensions
_COUNTS = {"DimSize": 1, "ElementSpacing": 1, "Offset": 1, "TransformMatrix": 2}
_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}


def check_header(path: Path) -> None:
    """Refuse a MetaImage whose header is damaged, or whose voxels break off; other files pass.

    Raises:
        SAMedError: saying what is missing.
    """
    if not path.name.lower().endswith((".mha", ".mhd")) or not path.is_file():
        return
    with open(path, "rb") as handle:
        fields = _read_fields(handle.read(_LONGEST_HEADER))
    missing = [name for name in (*_REQUIRED, _DATA) if not fields.get(name)]
    if missing:
        raise SAMedError(f"{path} is damaged: its header has no {missing[0]}; get a fresh copy.")
    axes = int(fields["NDims"]) if fields["NDims"].isdigit() else 0
    for name, power in _COUNTS.items():
        if name in fields and not _are_numbers(fields[name], axes**power):
            raise SAMedError(f"{path} is damaged: its {name} is {fields[name][:40]!r}; get a fresh copy.")
    _check_length(path, fields)


def _read_fields(start: bytes) -> dict[str, str]:
    """The header's entries, and under "" its length in bytes."""
    fields: dict[str, str] = {}
    length = 0
    for line in start.split(b"\n"):
        length += len(line) + 1
        name, found, value = line.decode("utf-8", "surrogateescape").partition("=")
        if not found:
            break
        fields[name.strip()] = value.strip()
        if name.strip() == _DATA:
            break
    return {**fields, "": str(length)}


def _are_numbers(text: str, count: int) -> bool:
    try:
        return len([float(word) for word in text.split()]) == count
    except ValueError:
        return False


def _check_length(path: Path, fields: dict[str, str]) -> None:
    if fields[_DATA].upper().startswith("LIST"):
        for line in path.read_bytes()[int(fields[""]) :].decode("utf-8", "surrogateescape").split("\n"):
            if line.strip():
                check_detached(path, line.strip())
        return
    local = fields[_DATA].upper() == "LOCAL"
    data = path if local else check_detached(path, fields[_DATA])
    begin = int(fields[""]) if local else 0
    found = os.path.getsize(data) - begin
    needed = _bytes_of_voxels(fields)
    if fields.get("CompressedData", "").lower() == "true":
        text = fields.get("CompressedDataSize", "")
        if found < (int(text) if text.isdigit() else 1):
            raise SAMedError(f"{data} is damaged: its compressed voxels break off; get a fresh copy.")
        check_stream(data, begin, needed)
    elif fields.get("BinaryData", "").lower() == "true" and found < needed:
        raise SAMedError(f"{data} is damaged: it ends after {found} of {needed} bytes of voxels; get a fresh copy.")


def _bytes_of_voxels(fields: dict[str, str]) -> int:
    kind = fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")
    width = _BYTES.get(kind, _BYTES.get(kind.removeprefix("U"), 0))
    channels = fields.get("ElementNumberOfChannels", "1")
    voxels = math.prod(int(float(word)) for word in fields["DimSize"].split())
    return width * voxels * (int(channels) if channels.isdigit() else 1)
