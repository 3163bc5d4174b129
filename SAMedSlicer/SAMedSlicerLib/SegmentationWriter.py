"""Labels of a model as coded segments of the volume."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SAMedLib.organs import Label, LabelSet
from SAMedSlicerLib.Hierarchy import hierarchyOf, itemOf, putUnder
from SAMedSlicerLib.InputVolume import VolumeProblem
from SAMedSlicerLib.Terminology import terminologyEntry
from SAMedSlicerLib.VoxelArrays import firstVoxelToRas, ijkToRasOf, imageOf, imageToWorldOf
from SAMedSlicerLib.WrittenMark import BINARY_LABELMAP, WrittenMark, binaryLabelmap, boundingBoxes, forget, isWritten

if TYPE_CHECKING:
    import numpy as np

_CLOSED_SURFACE = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
_ALGORITHM_TYPE = "DICOM.SegmentAlgorithmType"
_METADATA_KEY = "SAMed"  # in the header of files that `samed segment` writes


class SegmentationWriter:
    """Writes labels into a segmentation node: one shared layer, names, colours and codes of the label set.

    Attributes:
        notes: sentences for the user about the last `write`.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def write(
        self,
        labels: np.ndarray,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        labelSet: LabelSet,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        *,
        name: str,
        modelInfo: Mapping[str, Any] | None = None,
        replace: bool = True,
    ) -> slicer.vtkMRMLSegmentationNode:
        """Write the labels of a volume; organs without a voxel get no segment.

        Args:
            labels: uint8 [K,J,I], on the volume's own grid.
            segmentationNode: to write into; None for a new one.
            name: of a new node.
            modelInfo: what is known of the making: "model", "notice", ...; kept as attributes of the node.
            replace: take out what a model wrote into the node before, but keep what was edited or renamed since.
                False to add to it.

        Returns:
            segmentationNode, or a new node if that one holds segments on another grid or under another transform: they
            would be moved or resampled.

        Raises:
            VolumeProblem: if the labels do not fit the volume, or hold a value that the label set has not.
        """
        self.notes = []
        boxes = boundingBoxes(labels)
        _check(labels, boxes, volumeNode, labelSet)
        image = imageOf(labels, firstVoxelToRas(ijkToRasOf(volumeNode), volumeNode.GetImageData()))
        mark = WrittenMark({image: boxes})
        node = segmentationNode
        outdated: list[str] = []
        if node is not None:
            outdated = _untouched(node, mark) if replace else []
            if not _fits(node, volumeNode, keeping=set(_ids(node)) - set(outdated)):
                self.notes.append(
                    _(
                        "'{old}' holds segments with another voxel grid or transform; to leave them where they are, "
                        "the result is in a new segmentation."
                    ).format(old=node.GetName())
                )
                node, outdated = None, []
        if node is None:
            node = _newNode(volumeNode, name)
        modified = node.StartModify()
        withSurfaces = node.GetSegmentation().ContainsRepresentation(_CLOSED_SURFACE)
        try:
            _place(node, volumeNode)
            if replace:
                self._keepEdited(node, mark)
            segments = [_segment(label, image, modelInfo or {}) for label in labelSet if label.value in boxes]
            self._exchange(node, outdated, segments, mark)
            if withSurfaces:  # shown in 3D: stays so
                node.CreateClosedSurfaceRepresentation()
            _describe(node, modelInfo or {})
        finally:
            node.EndModify(modified)
        return node

    def readLabels(self, path: Path) -> np.ndarray:
        """The labels in a .nrrd file that `samed segment` wrote, as uint8 [K,J,I]."""
        import SimpleITK as sitk

        return sitk.GetArrayFromImage(sitk.ReadImage(str(path), sitk.sitkUInt8))

    def readModelInfo(self, path: Path) -> dict[str, Any]:
        """What the file says about its making: "model", "notice", "model_metadata", ...; empty if nothing."""
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        return json.loads(reader.GetMetaData(_METADATA_KEY)) if reader.HasMetaDataKey(_METADATA_KEY) else {}

    def _keepEdited(self, node: slicer.vtkMRMLSegmentationNode, mark: WrittenMark) -> None:
        """Give what the user made of our segments another name, and make it theirs."""
        for segment in map(node.GetSegmentation().GetSegment, _ids(node)):
            if not isWritten(segment) or mark.isUntouched(segment):
                continue
            if mark.hasItsName(segment):
                old = segment.GetName()
                segment.SetName(_freeName(node, old, _("{name} (edited)"), _("{name} (edited {number})")))
                self.notes.append(_("{old} was edited; it is kept as {new}.").format(old=old, new=segment.GetName()))
            if segment.HasTag(_ALGORITHM_TYPE):
                segment.SetTag(_ALGORITHM_TYPE, "SEMIAUTOMATIC")
            forget(segment)

    def _exchange(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        outdated: list[str],
        segments: Iterable[slicer.vtkSegment],
        mark: WrittenMark,
    ) -> None:
        """Put segments where the outdated ones are; those with the same name keep their visibility."""
        segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
        ids = _ids(node)
        last = ids.index(outdated[-1]) if outdated else len(ids)
        before = ids[last + 1] if last + 1 < len(ids) else ""
        shared = [binaryLabelmap(segmentation.GetSegment(segmentId)) for segmentId in ids if segmentId not in outdated]
        hidden = set()
        for segmentId in outdated:
            segment = segmentation.GetSegment(segmentId)
            if not display.GetSegmentVisibility(segmentId):
                hidden.add(segment.GetName())
            if binaryLabelmap(segment) not in shared:
                segment.RemoveRepresentation(BINARY_LABELMAP)  # else its voxels are erased first, 0.2 s per segment
            segmentation.RemoveSegment(segmentId)
        for segment in segments:
            organ = segment.GetName()
            segment.SetName(_freeName(node, organ, "{name}", "{name} ({number})"))
            mark.put(segment)
            segmentId = segmentation.GenerateUniqueSegmentID(organ.replace(" ", "_"))
            segmentation.AddSegment(segment, segmentId, before)
            if organ in hidden:
                display.SetSegmentVisibility(segmentId, False)


def _check(
    labels: np.ndarray, boxes: Mapping[int, Any], volumeNode: slicer.vtkMRMLScalarVolumeNode, labelSet: LabelSet
) -> None:
    image = volumeNode.GetImageData()
    size = (0, 0, 0) if image is None else image.GetDimensions()
    if labels.shape[::-1] != tuple(size):
        raise VolumeProblem(
            _("'{name}' has {now} voxels, but its result has {then}; segment it again.").format(
                name=volumeNode.GetName(), now=" x ".join(map(str, size)), then=" x ".join(map(str, labels.shape[::-1]))
            )
        )
    unknown = sorted(set(boxes) - {label.value for label in labelSet})
    if unknown:
        raise VolumeProblem(
            _("The result for '{name}' holds the value {value}, which is no organ of the model.").format(
                name=volumeNode.GetName(), value=unknown[0]
            )
        )


def _ids(node: slicer.vtkMRMLSegmentationNode) -> list[str]:
    return list(node.GetSegmentation().GetSegmentIDs())


def _untouched(node: slicer.vtkMRMLSegmentationNode, mark: WrittenMark) -> list[str]:
    segmentation = node.GetSegmentation()
    return [segmentId for segmentId in _ids(node) if mark.isUntouched(segmentation.GetSegment(segmentId))]


def _fits(
    node: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLScalarVolumeNode, keeping: Iterable[str]
) -> bool:
    """Whether the segments that stay remain where they are when the node takes the volume's grid and transform."""
    if node.GetScene() is not volumeNode.GetScene():
        return False
    segmentation, matrix = node.GetSegmentation(), ijkToRasOf(volumeNode)
    segments = [segmentation.GetSegment(segmentId) for segmentId in keeping]
    if not segments:
        return True
    if node.GetTransformNodeID() != volumeNode.GetTransformNodeID():
        return False
    if segmentation.GetSourceRepresentationName() != BINARY_LABELMAP:
        return False
    images = [image for image in map(binaryLabelmap, segments) if image is not None and image.GetNumberOfPoints()]
    return all(_onGrid(image, matrix) for image in images)


def _onGrid(image: slicer.vtkOrientedImageData, ijkToRas: Any) -> bool:
    """Whether the image's voxels are voxels of this grid, or of one that goes on beyond it."""
    import vtk

    toIndex = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(ijkToRas, toIndex)
    both = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Multiply4x4(toIndex, imageToWorldOf(image), both)
    axes = all(abs(both.GetElement(r, c) - (r == c)) < 1e-4 for r in range(3) for c in range(3))
    return axes and all(abs(both.GetElement(r, 3) - round(both.GetElement(r, 3))) < 1e-2 for r in range(3))


def _newNode(volumeNode: slicer.vtkMRMLScalarVolumeNode, name: str) -> slicer.vtkMRMLSegmentationNode:
    scene = volumeNode.GetScene()
    taken = scene.GetFirstNodeByName(name) is not None
    return scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name) if taken else name)


def _place(node: slicer.vtkMRMLSegmentationNode, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Grid, transform, display, and a place under the volume unless the user has put the node somewhere."""
    # the transform comes first: Slicer applies it twice to segments that are written under another one
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    if not node.GetDisplayNode():
        node.CreateDefaultDisplayNodes()
    if not _ids(node):
        node.SetSourceRepresentationToBinaryLabelmap()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    putUnder(node, volumeNode)
    instances = volumeNode.GetAttribute("DICOM.instanceUIDs")
    if instances:  # what DICOM SEG export refers to
        attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMReferencedInstanceUIDsAttributeName()
        hierarchyOf(node).SetItemAttribute(itemOf(node), attribute, instances)


def _segment(label: Label, image: slicer.vtkOrientedImageData, modelInfo: Mapping[str, Any]) -> slicer.vtkSegment:
    segment = slicer.vtkSegment()
    segment.SetName(label.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*(channel / 255 for channel in label.color))
    segment.SetColorAutoGenerated(False)
    segment.SetLabelValue(label.value)
    segment.AddRepresentation(BINARY_LABELMAP, image)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminologyEntry(label))
    if modelInfo.get("model"):  # for DICOM SEG; without it segments count as drawn by hand
        segment.SetTag(_ALGORITHM_TYPE, "AUTOMATIC")
        segment.SetTag("DICOM.SegmentAlgorithmName", f"SAMed {modelInfo['model']}")
    return segment


def _describe(node: slicer.vtkMRMLSegmentationNode, modelInfo: Mapping[str, Any]) -> None:
    """Who made this: for scripts, and for whoever opens the scene later."""
    node.SetAttribute("SAMed.Model", str(modelInfo.get("model", "")) or None)
    node.SetAttribute("SAMed.Notice", str(modelInfo.get("notice", "")) or None)
    node.SetAttribute("SAMed.Info", json.dumps(dict(modelInfo), ensure_ascii=False, default=str) if modelInfo else None)
    if modelInfo.get("notice"):
        node.SetDescription(str(modelInfo["notice"]))


def _freeName(node: slicer.vtkMRMLSegmentationNode, name: str, first: str, others: str) -> str:
    segmentation = node.GetSegmentation()
    taken = {segmentation.GetSegment(segmentId).GetName() for segmentId in _ids(node)}
    candidate, number = first.format(name=name), 2
    while candidate in taken:
        candidate, number = others.format(name=name, number=number), number + 1
    return candidate
