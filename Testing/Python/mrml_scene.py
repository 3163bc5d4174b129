"""Volumes, transforms and segmentations in a real MRML scene; import it in tests that use the `scene` fixture."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from SAMedLib.organs import SYNAPSE


def matrix_of(array: np.ndarray) -> Any:
    matrix = vtk.vtkMatrix4x4()
    for row, column in itertools.product(range(4), range(4)):
        matrix.SetElement(row, column, float(array[row][column]))
    return matrix


def array_of(matrix: Any) -> np.ndarray:
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """3 x 3, angles in radian."""
    result = np.eye(3)
    for axis, angle in enumerate((x, y, z)):
        turn = np.eye(3)
        a, b = [i for i in range(3) if i != axis]
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        result = result @ turn
    return result


def affine(linear: np.ndarray, origin: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    result = np.eye(4)
    result[:3, :3] = linear
    result[:3, 3] = origin
    return result


def oblique() -> np.ndarray:
    """An oblique, anisotropic grid far from the origin, as ijkToRas."""
    return affine(rotation(0.3, -0.2, 0.5) @ np.diag([0.71, 0.83, 2.7]), (100.3, -55.2, -900.7))


def mirrored() -> np.ndarray:
    return oblique() @ np.diag([1.0, -1.0, 1.0, 1.0])


def sheared() -> np.ndarray:
    """As with a tilted gantry."""
    matrix = oblique()
    matrix[:3, 2] += 0.6 * matrix[:3, 1] / 0.83
    return matrix


def axis_orientations() -> list[np.ndarray]:
    """The 48 ways to put three index axes along three patient axes."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            linear = np.zeros((3, 3))
            for axis, (row, sign) in enumerate(zip(order, signs, strict=True)):
                linear[row, axis] = sign * (0.7, 0.9, 2.5)[axis]
            found.append(affine(linear, (10.0, -20.5, 30.25)))
    return found


def add_volume(
    scene: Any, voxels: np.ndarray | tuple[int, int, int] = (6, 7, 8), matrix: np.ndarray | None = None, name="CT"
) -> Any:
    """A scalar volume node; a shape gets CT-like noise."""
    if isinstance(voxels, tuple):
        voxels = np.random.default_rng(0).integers(-1000, 1500, voxels).astype(np.int16)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    set_voxels(node, voxels)
    node.SetIJKToRASMatrix(matrix_of(np.eye(4) if matrix is None else matrix))
    return node


def set_voxels(node: Any, voxels: np.ndarray) -> None:
    """[K,J,I], or [K,J,I,components]."""
    image = vtk.vtkImageData()
    image.SetDimensions(*voxels.shape[2::-1])
    components = voxels.shape[3] if voxels.ndim == 4 else 1
    flat = np.ascontiguousarray(voxels).reshape((-1, components) if components > 1 else -1)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    node.SetAndObserveImageData(image)


def random_labels(volume: Any, seed: int = 1, missing: int | None = None) -> np.ndarray:
    """Every voxel another organ: one voxel off is seen."""
    shape = volume.GetImageData().GetDimensions()[::-1]
    labels = np.random.default_rng(seed).integers(0, len(SYNAPSE.labels) + 1, shape).astype(np.uint8)
    labels[labels == missing] = 0
    return labels


def add_linear(scene: Any, matrix: np.ndarray, parent: Any = None) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "linear")
    node.SetMatrixTransformToParent(matrix_of(matrix))
    return under(node, parent)


def add_grid(scene: Any, seed: int = 0, parent: Any = None) -> Any:
    """A displacement field of some mm around the oblique volume."""
    image = vtk.vtkImageData()
    image.SetDimensions(9, 9, 9)
    image.SetOrigin(0, -160, -1010)
    image.SetSpacing(28, 28, 28)
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    field = vtk_to_numpy(image.GetPointData().GetScalars())
    field[:] = np.random.default_rng(seed).normal(0, 5, field.shape)
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(image)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "grid")
    node.SetAndObserveTransformFromParent(grid)
    return under(node, parent)


def add_bspline(scene: Any, seed: int = 0) -> Any:
    coefficients = vtk.vtkImageData()
    coefficients.SetDimensions(9, 9, 9)
    coefficients.SetOrigin(-20, -180, -1030)
    coefficients.SetSpacing(33, 33, 33)
    coefficients.AllocateScalars(vtk.VTK_DOUBLE, 3)
    field = vtk_to_numpy(coefficients.GetPointData().GetScalars())
    field[:] = np.random.default_rng(seed).normal(0, 5, field.shape)
    spline = slicer.vtkOrientedBSplineTransform()
    spline.SetCoefficientData(coefficients)
    node = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "b-spline")
    node.SetAndObserveTransformFromParent(spline)
    return node


def under(node: Any, parent: Any) -> Any:
    node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    return node


def segment_ids(segmentation: Any) -> list[str]:
    return list(segmentation.GetSegmentation().GetSegmentIDs())


def segment_named(segmentation: Any, name: str) -> Any:
    return segmentation.GetSegmentation().GetSegment(segmentation.GetSegmentation().GetSegmentIdBySegmentName(name))


def names(segmentation: Any) -> list[str]:
    return [segmentation.GetSegmentation().GetSegment(one).GetName() for one in segment_ids(segmentation)]


def export_to_volume(segmentation: Any, volume: Any) -> dict[str, np.ndarray]:
    """What Slicer itself exports for each segment with the volume as reference: a boolean [K,J,I] by name."""
    found = {}
    for segment_id, name in zip(segment_ids(segmentation), names(segmentation), strict=True):
        node = volume.GetScene().AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "exported")
        ids = vtk.vtkStringArray()
        ids.InsertNextValue(segment_id)
        assert slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(segmentation, ids, node, volume)
        assert np.allclose(ijk_to_ras(node), ijk_to_ras(volume), atol=1e-6)
        assert node.GetParentTransformNode() is volume.GetParentTransformNode()
        found[name] = voxels_of(node) > 0
        volume.GetScene().RemoveNode(node)
    return found


def voxels_of(node: Any) -> np.ndarray:
    image = node.GetImageData()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).copy()


def ijk_to_ras(node: Any) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return array_of(matrix)


def nearest_labels(labels: np.ndarray, source: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels on `source`'s grid seen from the voxels of `target`, point by point through both nodes' transforms.

    Returns:
        labels on the target's grid, and where the choice is clear: not half way between two voxels.
    """
    shape = target.GetImageData().GetDimensions()[::-1]
    k, j, i = np.indices(shape).reshape(3, -1)
    points = (ijk_to_ras(target) @ np.stack([i, j, k, np.ones_like(i)]))[:3].T
    between = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        target.GetParentTransformNode(), source.GetParentTransformNode(), between
    )
    moved = np.array([between.TransformPoint(point) for point in points])
    index = (np.linalg.inv(ijk_to_ras(source)) @ np.c_[moved, np.ones(len(moved))].T)[:3]
    nearest = np.floor(index + 0.5).astype(int)
    inside = np.all((nearest >= 0) & (nearest < np.array(labels.shape[::-1])[:, None]), axis=0)
    result = np.zeros(len(points), np.uint8)
    result[inside] = labels[tuple(nearest[::-1, inside])]
    clear = np.all(np.abs(index - np.floor(index) - 0.5) > 1e-2, axis=0)
    return result.reshape(shape), clear.reshape(shape)


def save_and_reopen(scene: Any, folder: Path) -> None:
    """What saving a scene, closing it and opening it again does to it; node IDs stay."""
    folder.mkdir(parents=True, exist_ok=True)
    scene.SetRootDirectory(str(folder))
    scene.SetURL(str(folder / "scene.mrml"))
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLStorableNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLStorableNode")
        if node.IsA("vtkMRMLColorNode"):  # in the application the default colours are not in the scene file either
            node.SetSaveWithScene(False)
        if not node.GetSaveWithScene():
            continue
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        storage = node.GetStorageNode()
        if storage is not None:
            storage.SetFileName(str(folder / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}"))
            assert storage.WriteData(node)
    assert scene.Commit()
    scene.Clear(False)
    scene.SetURL(str(folder / "scene.mrml"))
    assert scene.Connect()
