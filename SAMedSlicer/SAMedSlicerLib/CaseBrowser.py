"""Training cases as nodes of the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from SAMedSlicerLib.SegmentationWriter import SegmentationWriter
from SAMedSlicerLib.VoxelArrays import imageOf

_ATTRIBUTE = "SAMed.TrainingCase"


class CaseBrowser:
    """Loads a case of a dataset folder into a scene."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene

    def show(self, folder: Path, name: str) -> tuple[Any, Any]:
        """The volume and segmentation node of a case; those that are in the scene already are filled again.

        Raises:
            SAMedError: if the case cannot be read.
        """
        from SAMedLib.data.folders import DatasetFolder

        dataset = DatasetFolder.open(folder)
        volume, labels = dataset.read(name)
        key = f"{Path(folder).absolute()}|{name}"
        volumeNode = self._find("vtkMRMLScalarVolumeNode", key) or self._make("vtkMRMLScalarVolumeNode", key, name)
        _fill(volumeNode, volume.array, volume.geometry.ijk_to_lps())
        segmentationNode = SegmentationWriter().write(
            labels,
            volumeNode,
            dataset.label_set,
            self._find("vtkMRMLSegmentationNode", key),
            name=f"{name} labels",
            replace=True,
        )
        segmentationNode.SetAttribute(_ATTRIBUTE, key)
        return volumeNode, segmentationNode

    def _find(self, className: str, key: str) -> Any | None:
        for index in range(self._scene.GetNumberOfNodesByClass(className)):
            node = self._scene.GetNthNodeByClass(index, className)
            if node.GetAttribute(_ATTRIBUTE) == key:
                return node
        return None

    def _make(self, className: str, key: str, name: str) -> Any:
        node = self._scene.AddNewNodeByClass(className, self._scene.GenerateUniqueName(name))
        node.SetAttribute(_ATTRIBUTE, key)
        node.CreateDefaultDisplayNodes()
        return node


def _fill(volumeNode: Any, array: Any, ijkToLps: Any) -> None:
    """Voxels [K,J,I] and where they lie."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    for row, values in enumerate(ijkToLps):
        for column, value in enumerate(values):
            matrix.SetElement(row, column, float(-value if row < 2 else value))  # LPS to RAS
    volumeNode.SetIJKToRASMatrix(matrix)
    image = vtk.vtkImageData()  # a volume's image has no geometry of its own
    image.SetDimensions(*array.shape[::-1])
    image.GetPointData().SetScalars(imageOf(array, matrix).GetPointData().GetScalars())
    volumeNode.SetAndObserveImageData(image)
