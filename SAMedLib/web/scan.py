"""The CT of a session: from a file into the scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.volume import Volume, read_geometry, read_volume
from SAMedSlicerLib.AbdomenWindow import showAbdomen
from SAMedSlicerLib.ArrayVolume import addVolume

# more than any CT has: a small compressed file can say that it holds more than the memory
_MOST_VOXELS = 1_500_000_000


@dataclass(frozen=True, eq=False)
class Scan:
    """A CT that is open.

    Attributes:
        volume: its voxels in HU, and where they lie.
        node: the vtkMRMLScalarVolumeNode with them.
    """

    volume: Volume
    node: Any


def read_scan(path: Path) -> Volume:
    """As read_volume, with a limit to what a file may ask for; for any thread.

    Raises:
        SAMedError: if it is no CT that can be opened; the file is named as the user knows it, without its folder.
    """
    try:
        check_size(path)
        volume = read_volume(path)
    except SAMedError as error:
        raise SAMedError(without_folder(str(error), path)) from error
    return replace(volume, notes=tuple(without_folder(note, path) for note in volume.notes))


def add_scan(scene: Any, volume: Volume) -> Scan:
    """Put a CT into the scene, with the usual abdominal window."""
    node = addVolume(scene, volume.array, volume.geometry.ijk_to_lps(), volume.name)
    showAbdomen(node)
    return Scan(volume, node)


def check_size(path: Path) -> None:
    """Raises SAMedError if a file says that it holds more voxels than any CT has; looks at its header only."""
    if not path.is_file():
        return
    try:
        size = read_geometry(path).size
    except SAMedError:  # reading it says better what it is
        return
    if size[0] * size[1] * size[2] > _MOST_VOXELS:
        raise SAMedError(f"{path} has {' x '.join(map(str, size))} voxels; crop it first.")


def without_folder(text: str, path: Path) -> str:
    """A sentence about a file, or about one beside it, without the temporary folder that only the server knows."""
    return text.replace(f"{path.parent}/", "").replace(str(path.parent), "the upload")
