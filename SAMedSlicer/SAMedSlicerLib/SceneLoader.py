"""Scans and segmentations from files into a scene, with Slicer's own readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.Hierarchy import putUnder
from SAMedSlicerLib.SegmentationWriter import SegmentationWriter


def loadVolume(scene: Any, path: Path, name: str) -> Any:
    """A volume node of an image file.

    Raises:
        SAMedError: if Slicer cannot read it.
    """
    return _load(scene, "vtkMRMLScalarVolumeNode", path, name)


def loadSegmentation(scene: Any, path: Path, name: str, volumeNode: Any, model: str) -> Any:
    """A segmentation node of a file that the library wrote, under its volume if there is one.

    Raises:
        SAMedError: if Slicer cannot read it.
    """
    info = SegmentationWriter().readModelInfo(path)
    node = _load(scene, "vtkMRMLSegmentationNode", path, name)
    node.SetAttribute("SAMed.Model", str(info.get("model", model)))
    node.SetAttribute("SAMed.Notice", str(info.get("notice", "")) or None)
    if volumeNode is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        putUnder(node, volumeNode)
    return node


def _load(scene: Any, className: str, path: Path, name: str) -> Any:
    node = scene.AddNewNodeByClass(className, scene.GenerateUniqueName(name))
    node.AddDefaultStorageNode(str(path))
    storage = node.GetStorageNode()
    if storage is None or not storage.ReadData(node):
        for leftover in (storage, node):
            if leftover is not None:
                scene.RemoveNode(leftover)
        raise SAMedError(_("{path} could not be loaded into the scene.").format(path=path))
    node.CreateDefaultDisplayNodes()
    return node
