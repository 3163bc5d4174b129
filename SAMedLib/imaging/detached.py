"""Voxels that lie in other files than their header: which ones a header may name."""

from __future__ import annotations

from pathlib import Path

from SAMedLib.errors import SAMedError


def check_detached(header: Path, name: str) -> Path:
    """The file that a header names for its voxels.

    Raises:
        SAMedError: if this is a pattern (ITK hands it to C's printf, which reads and writes what it says), or no file.
    """
    if "%" in name:
        raise SAMedError(f"{header} names its voxels by a pattern, {name[:60]!r}; save it again as one file.")
    path = header.parent / name
    if not path.is_file():
        raise SAMedError(f"{header} is only a header, and {path}, which should hold its voxels, is no file; add it.")
    return path
