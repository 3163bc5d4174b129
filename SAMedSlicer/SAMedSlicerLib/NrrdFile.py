"""Voxels with their geometry as a .nrrd file, the way into a child process."""

from __future__ import annotations

from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.VoxelArrays import firstVoxelToRas, voxelsOf


def writeNrrd(path: Path, image: vtk.vtkImageData, ijkToRas: vtk.vtkMatrix4x4, compress: bool = False) -> None:
    """Write the voxels of `image` as they are, with this geometry, shear included.

    Raises:
        SAMedError: if the file cannot be written.
    """
    writer = slicer.vtkTeemNRRDWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(_writable(image))
    writer.SetIJKToRASMatrix(firstVoxelToRas(ijkToRas, image))
    writer.SetUseCompression(compress)
    writer.Write()
    if writer.GetWriteError():
        raise SAMedError(
            _("{path} cannot be written; check that there is free space on its disk.").format(path=str(path))
        )


def _writable(image: vtk.vtkImageData) -> vtk.vtkImageData:
    """The image, or a copy with voxels of a type that the writer has: it lacks signed 8-bit and 64-bit integers."""
    import numpy as np
    from vtk.util.numpy_support import numpy_to_vtk

    voxels = voxelsOf(image)
    if voxels.dtype == np.int8:
        wanted = np.int16
    elif voxels.dtype in (np.int64, np.uint64):
        limits = np.iinfo(np.int32)
        wanted = np.int32 if limits.min <= voxels.min() and voxels.max() <= limits.max else np.float64
    else:
        return image
    copy = vtk.vtkImageData()
    copy.SetExtent(image.GetExtent())
    copy.GetPointData().SetScalars(numpy_to_vtk(voxels.astype(wanted).reshape(-1), deep=True))
    return copy
