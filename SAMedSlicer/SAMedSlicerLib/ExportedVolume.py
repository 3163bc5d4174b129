"""What a volume was like when it was handed to a job."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.InputVolume import writeVolume
from SAMedSlicerLib.VoxelArrays import ijkToRasOf, voxelsOf


class VolumeLost(Exception):
    """A result has no volume any more that it fits; the text is the sentence for the user."""


class ExportedVolume:
    """A volume node written to a file; remembers the node by its ID, for it may be deleted while a job runs.

    A transform above the volume does not matter: files hold the volume's own grid, and results are put under the same
    transform.
    """

    def __init__(self, volumeNode: Any) -> None:
        self._scene = volumeNode.GetScene()
        self._id = volumeNode.GetID()
        self._name = volumeNode.GetName() or ""
        self._geometry: tuple = ()
        self._voxels = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def node(self) -> Any:
        """The node, None if it is not in the scene any more."""
        return self._scene.GetNodeByID(self._id)

    def write(self, path: Path) -> None:
        node = self._present()
        self._geometry, self._voxels = _geometry(node), _digest(node)
        writeVolume(node, path)

    def fitting(self) -> tuple[Any, str]:
        """The node as it is now, and a remark if it is not what was written, else "".

        Raises:
            VolumeLost: if labels of the exported grid have no place in it.
        """
        node = self._present()
        sameGrid = _geometry(node) == self._geometry
        sameVoxels = _digest(node) == self._voxels
        if sameGrid and sameVoxels:
            return node, ""
        if sameGrid:
            return node, _(
                "{name} was changed while it was segmented; the result shows the organs before that change."
            ).format(name=self._name)
        if sameVoxels:
            return node, _("{name} was moved while it was segmented; the result moved with it.").format(name=self._name)
        raise VolumeLost(
            _(
                "{name} was cropped or resampled while it was segmented; its result does not fit any more and was "
                "dropped. Segment it again."
            ).format(name=self._name)
        )

    def _present(self) -> Any:
        node = self.node
        if node is None or node.GetImageData() is None:
            raise VolumeLost(_("{name} was deleted, so its result was dropped.").format(name=self._name))
        return node


def _geometry(node: Any) -> tuple:
    matrix = ijkToRasOf(node)
    elements = tuple(round(matrix.GetElement(row, column), 6) for row in range(3) for column in range(4))
    return (tuple(node.GetImageData().GetExtent()), elements)


def _digest(node: Any) -> int:
    import numpy as np

    voxels = voxelsOf(node.GetImageData())
    # the shape counts too: the same voxels in other rows are another picture
    return zlib.crc32(np.ascontiguousarray(voxels).data, zlib.crc32(repr(voxels.shape).encode()))
