"""An array as a volume node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer
import vtk

if TYPE_CHECKING:
    import numpy as np


def addVolume(scene: Any, array: np.ndarray, ijkToLps: np.ndarray, name: str) -> Any:
    """A new vtkMRMLScalarVolumeNode of [K,J,I] voxels, copied; `ijkToLps` is a 4 x 4 matrix as the library has it."""
    import numpy as np

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(name))
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijkToLps).ravel())
    node.SetIJKToRASMatrix(matrix)
    slicer.util.updateVolumeFromArray(node, array)
    node.CreateDefaultDisplayNodes()
    return node
