"""Cases of an evaluated folder as nodes of the scene."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.ArrayVolume import addVolume
from SAMedSlicerLib.CaseScores import CaseScores
from SAMedSlicerLib.SceneLoader import loadVolume
from SAMedSlicerLib.SegmentationWriter import SegmentationWriter
from SAMedSlicerLib.WrittenMark import WrittenMark

if TYPE_CHECKING:
    from SAMedLib.organs import LabelSet


class EvaluatedCases:
    """Loads one case after the other; the one before goes, unless the user has worked on it."""

    def __init__(self, scene: Any, labelSet: LabelSet) -> None:
        self._scene = scene
        self._labelSet = labelSet
        self._name = ""
        self._ids: list[str] = []

    def nodesOf(self, case: CaseScores) -> tuple[Any, Any, Any]:
        """The volume, prediction and reference nodes of a case; without a scan, the volume is an empty grid.

        Raises:
            SAMedError: if a file cannot be read any more.
        """
        present = [self._scene.GetNodeByID(one) for one in self._ids]
        if self._name == case.name and all(present) and len(present) == 3:
            return present[0], present[1], present[2]
        prediction, reference = (self._labels(case, side) for side in ("prediction", "reference"))
        self._removePrevious(present)
        self._name, self._ids = case.name, []
        volume = self._volume(case, reference)
        self._ids.append(volume.GetID())
        nodes = []
        for labels, name in ((prediction, _("{case} prediction")), (reference, _("{case} reference"))):
            node = SegmentationWriter().write(
                labels.array, volume, self._labelSet, name=name.format(case=case.name), modelInfo={}
            )
            self._ids.append(node.GetID())
            nodes.append(node)
        return volume, nodes[0], nodes[1]

    def _labels(self, case: CaseScores, side: str) -> Any:
        """The labels exactly as the library has compared them."""
        from SAMedLib.evaluation.labelfiles import read_mapped

        labels = read_mapped(Path(case.files[side]), self._labelSet)
        if labels.geometry is None:
            raise SAMedError(
                _("{path} does not say where its voxels lie, so it cannot be shown.").format(path=case.files[side])
            )
        return labels

    def _volume(self, case: CaseScores, reference: Any) -> Any:
        if "image" in case.files:
            return loadVolume(self._scene, Path(case.files["image"]), case.name)
        import numpy as np

        empty = np.zeros(reference.array.shape, np.uint8)
        name = _("{case} (no scan)").format(case=case.name)
        return addVolume(self._scene, empty, reference.geometry.ijk_to_lps(), name)

    def _removePrevious(self, nodes: list[Any]) -> None:
        volume, *segmentations = nodes or [None]
        if any(node is not None and not _isUntouched(node) for node in segmentations):
            for node in segmentations:
                if node is not None and node.GetDisplayNode():
                    node.GetDisplayNode().SetVisibility(False)
            return
        for node in (*segmentations, volume):
            if node is not None:
                self._scene.RemoveNode(node)


def _isUntouched(node: Any) -> bool:
    mark, segmentation = WrittenMark(), node.GetSegmentation()
    return all(mark.isUntouched(segmentation.GetSegment(one)) for one in segmentation.GetSegmentIDs())
