"""Whether compressed voxels are all there: ITK takes a stream that breaks off, or is damaged, for voxels of 0."""

from __future__ import annotations

import zlib
from pathlib import Path

from SAMedLib.errors import SAMedError

_CHUNK = 1 << 22  # bytes read, and unpacked, at a time
_UNPACKED_BEYOND = 1 << 24  # bytes that may follow the voxels
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_GZIP_MAGIC = b"\x1f\x8b"


def check_stream(path: Path, start: int, needed: int) -> None:
    """Unpack to the end, which compares the checksums, and count; nothing is kept.

    Args:
        path: the file with a gzip (also of several members) or zlib stream in it.
        start: where in the file it begins.
        needed: bytes of voxels.

    Raises:
        SAMedError: if the stream is damaged, or unpacks to fewer bytes or to many more.
    """
    found = 0
    try:
        with open(path, "rb") as handle:
            handle.seek(start)
            unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
            packed = handle.read(_CHUNK)
            while packed and found <= needed + _UNPACKED_BEYOND:
                found += len(unpacker.decompress(packed, _CHUNK))
                packed = unpacker.unconsumed_tail
                if unpacker.eof:
                    packed = unpacker.unused_data + handle.read(_CHUNK)
                    if not packed.startswith(_GZIP_MAGIC):
                        break
                    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
                packed = packed or handle.read(_CHUNK)
    except zlib.error as error:
        raise SAMedError(f"{path} is damaged: its compressed voxels cannot be unpacked; get a fresh copy.") from error
    if found > needed + _UNPACKED_BEYOND:
        raise SAMedError(f"{path} unpacks to more than the {needed} bytes of its voxels; get a fresh copy.")
    if found < needed or not unpacker.eof:
        raise SAMedError(f"{path} is damaged: its compressed voxels break off; get a fresh copy.")
