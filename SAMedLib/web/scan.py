"""The CT of a session: from a file into the scene."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.volume import Volume, read_geometry, read_volume
from SAMedLib.web.own_voxels import check_own_voxels
from SAMedLib.web.page_words import in_page_words
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
    """As read_volume, with limits to what a file may ask for; for any thread.

    Raises:
        SAMedError: if it is no CT that can be opened; the file is named as the user knows it, without its folder.
    """
    try:
        check_upload(path)
        volume = read_volume(path)
    except SAMedError as error:
        raise SAMedError(in_page_words(str(error), path)) from error
    return replace(volume, notes=tuple(in_page_words(note, path) for note in volume.notes))


def add_scan(scene: Any, volume: Volume) -> Scan:
    """Put a CT into the scene, with the usual abdominal window."""
    node = addVolume(scene, volume.array, volume.geometry.ijk_to_lps(), volume.name)
    showAbdomen(node)
    return Scan(volume, node)


def check_upload(path: Path) -> None:
    """Raises SAMedError if an image of the server is meant, or one with more voxels than any CT has."""
    if not path.is_file():
        return
    check_own_voxels(path)
    try:
        size = read_geometry(path).size
    except SAMedError:  # reading it says better what it is
        return
    if size[0] * size[1] * size[2] > _MOST_VOXELS:
        raise SAMedError(f"{path} has {' x '.join(map(str, size))} voxels; crop it first.")
