"""The frames of a sequence on their way through the model, and the sequence of their segmentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SAMedSlicerLib.ExportedVolume import VolumeLost
from SAMedSlicerLib.FrameCase import FrameCase
from SAMedSlicerLib.Hierarchy import hierarchyOf, putUnder
from SAMedSlicerLib.InputPicker import browserOf
from SAMedSlicerLib.SegmentationWriter import SegmentationWriter

_GRID = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()

if TYPE_CHECKING:
    import numpy as np

    from SAMedLib.organs import LabelSet


class SequenceFrames:
    """All frames of a sequence of volumes.

    Their segmentations become a sequence with the same index, in the same browser, so that the organs follow the
    frame that is shown. It is always a new one: nothing that was edited in an earlier one is lost.
    """

    def __init__(self, sequenceNode: Any) -> None:
        self._scene = sequenceNode.GetScene()
        self._id = sequenceNode.GetID()
        self._title = sequenceNode.GetName() or ""
        self._resultId = ""

    @property
    def node(self) -> Any:
        """None if it was deleted."""
        return self._scene.GetNodeByID(self._id)

    def cases(self) -> list[FrameCase]:
        node = self.node
        return [
            FrameCase(self, number, node.GetNthIndexValue(number), f"{self._title}, {_indexText(node, number)}")
            for number in range(node.GetNumberOfDataNodes())
        ]

    def frame(self, index: str) -> Any:
        """The volume at an index value; raises VolumeLost."""
        node = self.node
        frame = node.GetDataNodeAtValue(index) if node else None
        if frame is None or frame.GetImageData() is None:
            raise VolumeLost(_("{name} was deleted, so its result was dropped.").format(name=self._title))
        return frame

    def put(self, index: str, labels: np.ndarray, labelSet: LabelSet, modelInfo: Mapping[str, Any]) -> None:
        """Add one frame's segmentation."""
        frame = self.frame(index)
        # the writer works in the scene, where frames are not: it gets a stand-in that shares the frame's voxels
        volume = slicer.vtkMRMLScalarVolumeNode()
        volume.SetHideFromEditors(True)
        volume.SetAndObserveImageData(frame.GetImageData())
        volume.CopyOrientation(frame)
        self._scene.AddNode(volume)
        segmentation = None
        try:
            writer = SegmentationWriter()
            segmentation = writer.write(labels, volume, labelSet, name=frame.GetName(), modelInfo=modelInfo)
            segmentation.SetNodeReferenceID(_GRID, None)
            self._result().SetDataNodeAtValue(segmentation, index)
        finally:
            if segmentation is not None:
                _remove(segmentation.GetDisplayNode())
                _remove(segmentation)
            _remove(volume)

    def finish(self) -> Any:
        """Let the result follow the browser.

        Returns:
            the segmentation node that shows the current frame, None if there is no result.
        """
        source, result = self.node, self._scene.GetNodeByID(self._resultId) if self._resultId else None
        if source is None or result is None:
            return None
        browser = browserOf(source)
        if browser is None:
            browser = self._scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{self._title} browser")
            browser.SetAndObserveMasterSequenceNodeID(source.GetID())
        browser.AddSynchronizedSequenceNode(result)
        if browser.GetProxyNode(result) is None:  # in the application its logic has done it by now
            logic = slicer.vtkSlicerSequencesLogic()
            logic.SetMRMLScene(self._scene)
            logic.UpdateProxyNodesFromSequences(browser)
            logic.SetMRMLScene(None)
        proxy, volume = browser.GetProxyNode(result), browser.GetProxyNode(source)
        if proxy is not None and volume is not None:
            proxy.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
            proxy.SetNodeReferenceID(_GRID, volume.GetID())
            putUnder(proxy, volume)
        return proxy

    def _result(self) -> Any:
        """The sequence of segmentations."""
        node = self._scene.GetNodeByID(self._resultId) if self._resultId else None
        if node is None:
            source = self.node
            name = self._scene.GetUniqueNameByString(_("{volume} organs").format(volume=self._title))
            node = self._scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
            node.SetIndexName(source.GetIndexName())
            node.SetIndexUnit(source.GetIndexUnit())
            node.SetIndexType(source.GetIndexType())
            self._resultId = node.GetID()
        return node


def _indexText(node: Any, number: int) -> str:
    unit = node.GetIndexUnit() or ""
    value = node.GetNthIndexValue(number)
    return _("frame {number} ({value} {unit})").format(number=number + 1, value=value, unit=unit).replace(" )", ")")


def _remove(node: Any) -> None:
    """Take a node out of the scene, and out of the tree, which outside the application nobody else does."""
    if node is None:
        return
    hierarchy = hierarchyOf(node)
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False, False)
    node.GetScene().RemoveNode(node)
