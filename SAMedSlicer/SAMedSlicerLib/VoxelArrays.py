"""Between VTK images and NumPy arrays [K,J,I], and matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
import vtk

if TYPE_CHECKING:
    import numpy as np


def voxelsOf(image: vtk.vtkImageData) -> np.ndarray:
    """The voxels of a scalar image as a [K,J,I] view, not a copy; of size 0 if it has none."""
    import numpy as np
    from vtk.util.numpy_support import vtk_to_numpy

    scalars = image.GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        return np.zeros((0, 0, 0), np.uint8)
    return vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])


def imageOf(array: np.ndarray, ijkToRas: vtk.vtkMatrix4x4) -> slicer.vtkOrientedImageData:
    """A copy of a [K,J,I] array as an image that knows where it lies."""
    import numpy as np
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*array.shape[::-1])
    scalars = numpy_to_vtk(np.ascontiguousarray(array).reshape(-1), deep=True)
    scalars.SetName("ImageScalars")  # the name that the segmentation classes look for
    image.GetPointData().SetScalars(scalars)
    image.SetGeometryFromImageToWorldMatrix(ijkToRas)
    return image


def ijkToRasOf(volumeNode: slicer.vtkMRMLVolumeNode) -> vtk.vtkMatrix4x4:
    """From voxel indices to RAS positions in mm; parent transforms are not in it."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return matrix


def imageToWorldOf(image: slicer.vtkOrientedImageData) -> vtk.vtkMatrix4x4:
    """As `ijkToRasOf`, for the image of a segment."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return matrix


def firstVoxelToRas(matrix: vtk.vtkMatrix4x4, image: vtk.vtkImageData) -> vtk.vtkMatrix4x4:
    """The matrix for an array of the image's voxels, whose first index is 0 also where the image's extent is not."""
    return shifted(matrix, image.GetExtent()[::2])


def shifted(matrix: vtk.vtkMatrix4x4, index: tuple[float, float, float]) -> vtk.vtkMatrix4x4:
    """The matrix of a grid whose first voxel is the one at `index` (I,J,K)."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(matrix)
    origin = matrix.MultiplyPoint((*index, 1.0))
    for row in range(3):
        result.SetElement(row, 3, origin[row])
    return result
