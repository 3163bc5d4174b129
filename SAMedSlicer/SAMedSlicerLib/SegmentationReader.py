"""Segments of a segmentation node as labels on a volume's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.organs import Label, LabelSet
from SAMedSlicerLib.NrrdFile import writeNrrd
from SAMedSlicerLib.SegmentInfo import SegmentInfo, segmentInfo
from SAMedSlicerLib.SegmentNames import organKey
from SAMedSlicerLib.Terminology import Terminology
from SAMedSlicerLib.VoxelArrays import firstVoxelToRas, ijkToRasOf, imageOf, voxelsOf
from SAMedSlicerLib.WrittenMark import BINARY_LABELMAP, binaryLabelmap

if TYPE_CHECKING:
    import numpy as np


class SegmentationReader:
    """Reads segments wherever they were drawn; Slicer's own classes resample them to the volume's grid.

    Attributes:
        notes: sentences for the user about the last `match` or `labels`.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def segmentsOf(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> list[SegmentInfo]:
        segmentation = segmentationNode.GetSegmentation()
        return [
            segmentInfo(segmentId, segmentation.GetSegment(segmentId)) for segmentId in segmentation.GetSegmentIDs()
        ]

    def match(self, segments: Sequence[SegmentInfo], labelSet: LabelSet) -> dict[str, int]:
        """Which segment is which label: by code and laterality, else by name; what is neither is left out.

        A label gets one segment at most: one that a person made before one that a model wrote, else the first.
        """
        self.notes = []
        found: dict[int, list[SegmentInfo]] = {}
        for segment in segments:
            label = _labelOf(segment, labelSet)
            if label is not None:
                found.setdefault(label.value, []).append(segment)
        chosen = {}
        for value, candidates in found.items():
            best = next((one for one in candidates if not one.byModel), candidates[0])
            chosen[best.id] = value
            if len(candidates) > 1:
                self.notes.append(
                    _("More than one segment is {organ} ({names}); '{name}' is used.").format(
                        names=", ".join(f"'{one.name}'" for one in candidates),
                        organ=labelSet.labels[value - 1].name,
                        name=best.name,
                    )
                )
        return {segment.id: chosen[segment.id] for segment in segments if segment.id in chosen}

    def labels(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        mapping: Mapping[str, int],
    ) -> np.ndarray:
        """The mapped segments on the volume's grid; the others are background.

        Args:
            mapping: segment id to label value. Where segments overlap, the later in the mapping has the voxel.

        Returns:
            uint8 [K,J,I].

        Raises:
            SAMedError: if a segment is not there (any more), or the volume holds no image.
        """
        import numpy as np

        self.notes = []
        segmentation = segmentationNode.GetSegmentation()
        for segmentId in mapping:
            if segmentation.GetSegment(segmentId) is None:
                raise SAMedError(
                    _("'{name}' has no segment '{segment}' any more; choose its segments again.").format(
                        name=segmentationNode.GetName(), segment=segmentId
                    )
                )
        if volumeNode.GetImageData() is None:
            raise SAMedError(_("'{name}' holds no image; load it again.").format(name=volumeNode.GetName()))
        # place in the mapping from 1, so that the largest is the latest
        order = {segmentId: rank for rank, segmentId in enumerate(mapping, start=1)}
        values = np.array([0, *mapping.values()], np.uint8)
        ranks = None
        clashes = []
        for image, ids in _layers(segmentationNode, list(mapping)):
            layer = _onVolume(image, segmentationNode, volumeNode)
            table = np.zeros(int(layer.max()) + 1, np.min_scalar_type(len(mapping)))
            for segmentId in ids:
                value = segmentation.GetSegment(segmentId).GetLabelValue()
                if value < table.size:
                    table[value] = order[segmentId]
            ours = table[layer]
            if ranks is None:
                ranks = ours
                continue
            both = np.flatnonzero(np.logical_and(ranks, ours))
            clashes.append(both[values[ranks.reshape(-1)[both]] != values[ours.reshape(-1)[both]]])
            np.maximum(ranks, ours, out=ranks)
        if ranks is None:
            return np.zeros(volumeNode.GetImageData().GetDimensions()[::-1], np.uint8)
        count = np.unique(np.concatenate(clashes)).size if clashes else 0
        if count:
            self.notes.append(
                _("{count} voxels of '{name}' lie in several segments; the later label has them.").format(
                    count=count, name=segmentationNode.GetName()
                )
            )
        return values[ranks]

    def write(self, path: Path, labels: np.ndarray, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Write labels [K,J,I] with the volume's geometry as a compressed .nrrd file.

        Raises:
            SAMedError: if the file cannot be written.
        """
        matrix = firstVoxelToRas(ijkToRasOf(volumeNode), volumeNode.GetImageData())
        writeNrrd(path, imageOf(labels, matrix), matrix, compress=True)


def _labelOf(segment: SegmentInfo, labelSet: LabelSet) -> Label | None:
    stated = Terminology(segment.scheme, segment.code, segment.modifier)
    if stated.isSpecific:
        for label in labelSet:
            if label.code and _terminologyOf(label) == stated:
                return label
    for label in labelSet:
        if organKey(label.name) == organKey(segment.name) and not _contradict(stated, label):
            return label
    return None


def _terminologyOf(label: Label) -> Terminology:
    assert label.code is not None
    return Terminology("SCT", label.code.value, label.modifier.value if label.modifier else "")


def _contradict(stated: Terminology, label: Label) -> bool:
    """Whether the codes say that these are two organs, whatever the names say."""
    if not stated.isSpecific or not label.code or stated.scheme != "SCT":
        return False
    known = _terminologyOf(label)
    sides = stated.modifier and known.modifier and stated.modifier != known.modifier
    return stated.code != known.code or bool(sides)


def _layers(segmentationNode: slicer.vtkMRMLSegmentationNode, ids: Sequence[str]) -> list[tuple[object, list[str]]]:
    """Each image that holds some of the segments, with these segments; they share it, so they do not overlap."""
    segmentation = segmentationNode.GetSegmentation()
    made = not segmentation.ContainsRepresentation(BINARY_LABELMAP)
    if made:  # surfaces only
        segmentationNode.CreateBinaryLabelmapRepresentation()
    layers: dict[object, list[str]] = {}
    for segmentId in ids:
        image = binaryLabelmap(segmentation.GetSegment(segmentId))
        if image is not None and image.GetNumberOfPoints():
            layers.setdefault(image, []).append(segmentId)
    if made:
        segmentationNode.RemoveBinaryLabelmapRepresentation()
    return list(layers.items())


def _onVolume(
    image: slicer.vtkOrientedImageData,
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    volumeNode: slicer.vtkMRMLScalarVolumeNode,
) -> np.ndarray:
    """A segmentation's image on the volume's grid, each voxel the nearest one, wherever the two nodes are in the world.

    In one step: exporting the segments with the volume as reference resamples twice where transforms differ, and
    loses voxels under non-linear ones and shear.
    """
    reference = slicer.vtkOrientedImageData()
    reference.SetDimensions(volumeNode.GetImageData().GetDimensions())
    reference.SetGeometryFromImageToWorldMatrix(firstVoxelToRas(ijkToRasOf(volumeNode), volumeNode.GetImageData()))
    between = None
    if segmentationNode.GetParentTransformNode() is not volumeNode.GetParentTransformNode():
        between = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
            segmentationNode.GetParentTransformNode(), volumeNode.GetParentTransformNode(), between
        )
    result = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        image, reference, result, False, False, between
    )
    return voxelsOf(result)
