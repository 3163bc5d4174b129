"""One volume of the scene on its way through the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SAMedSlicerLib.ExportedVolume import ExportedVolume
from SAMedSlicerLib.InputVolume import checkVolume
from SAMedSlicerLib.SegmentationWriter import SegmentationWriter

if TYPE_CHECKING:
    import numpy as np

    from SAMedLib.organs import LabelSet


class VolumeCase:
    """A volume node whose segmentation goes under it.

    Args:
        replace: take the place of what a model wrote for this volume before; False to add to it.
    """

    def __init__(self, volumeNode: Any, replace: bool = True) -> None:
        self._volume = ExportedVolume(volumeNode)
        self._replace = replace

    @property
    def title(self) -> str:
        return self._volume.name

    @property
    def volumeNode(self) -> Any:
        """None if it was deleted."""
        return self._volume.node

    def check(self) -> list[str]:
        """Sentences about what makes the result doubtful; raises VolumeProblem if it cannot be segmented."""
        return checkVolume(self._volume.node)

    def export(self, path: Path) -> None:
        """Raises VolumeLost or SAMedError."""
        self._volume.write(path)

    def deliver(self, labels: np.ndarray, labelSet: LabelSet, modelInfo: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """Write the result into the scene.

        Returns:
            the segmentation node, and remarks for the user.

        Raises:
            VolumeLost, SAMedError: if the labels have no place any more.
        """
        volumeNode, remark = self._volume.fitting()
        writer = SegmentationWriter()
        segmentation = writer.write(
            labels,
            volumeNode,
            labelSet,
            segmentationOf(volumeNode),
            name=_("{volume} organs").format(volume=volumeNode.GetName()),
            modelInfo=modelInfo,
            replace=self._replace,
        )
        return segmentation, [*([remark] if remark else []), *writer.notes]


def segmentationOf(volumeNode: Any) -> Any:
    """The segmentation that a model wrote for this volume last, None if there is none."""
    scene = volumeNode.GetScene()
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    found = None
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")):
        node = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode")
        if node.GetAttribute("SAMed.Model") and node.GetNodeReference(role) is volumeNode:
            found = node
    return found
