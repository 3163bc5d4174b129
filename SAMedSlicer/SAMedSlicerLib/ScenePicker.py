"""The two segmentations and the volume that the Evaluate tab compares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.OrganPairs import describePairs, labelsOf, proposePairs
from SAMedSlicerLib.PairsTable import PairsTable
from SAMedSlicerLib.SceneEvaluation import SceneEvaluation
from SAMedSlicerLib.SegmentationReader import SegmentationReader
from SAMedSlicerLib.SegmentInfo import SegmentInfo


class ScenePicker:
    """Three node selectors, and the table of organs.

    Args:
        ui: the widgets of EvaluateTab.ui.
        onChanged: called after the user changed something.
    """

    def __init__(self, ui: Any, parameters: Any, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._parameters = parameters
        self._onChanged = onChanged
        self._loading = False
        self._shown: tuple = ()
        self._table = PairsTable(ui.pairsTable, self._onPairs)
        ui.predictionSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onSegmentation)
        ui.referenceSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onSegmentation)
        ui.evaluationVolumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onVolume)
        self._showPairs()

    def restore(self) -> None:
        """Show what the scene's parameters say; the last result of the Segment tab is proposed."""
        if self._parameters.evaluationProtocol is None:  # there is no scene
            return
        ui, parameters = self._ui, self._parameters
        self._loading = True
        if parameters.prediction is None:
            parameters.prediction = parameters.segmentation
        ui.predictionSelector.setCurrentNode(parameters.prediction)
        ui.referenceSelector.setCurrentNode(parameters.reference)
        ui.evaluationVolumeSelector.setCurrentNode(parameters.evaluationVolume)
        self._loading = False
        self._proposeVolume()
        self.refresh()

    def refresh(self) -> None:
        """Segments may have been added, renamed or removed."""
        if self._segments() != self._shown:
            self._showPairs()

    def missing(self) -> str:
        """What is to be chosen yet, "" if nothing."""
        ui = self._ui
        prediction, reference = ui.predictionSelector.currentNode(), ui.referenceSelector.currentNode()
        if prediction is None:
            return _("Choose the segmentation to evaluate.")
        if reference is None:
            return _("Choose the reference segmentation to compare it with.")
        if prediction is reference:
            return _("Prediction and reference are the same segmentation; choose two.")
        volume = ui.evaluationVolumeSelector.currentNode()
        if volume is None:
            return _("Choose the volume that was segmented.")
        if volume.GetImageData() is None:
            return _("'{name}' holds no image; choose another volume.").format(name=volume.GetName())
        for node in (prediction, reference):
            if not node.GetSegmentation().GetNumberOfSegments():
                return _("'{name}' has no segments.").format(name=node.GetName())
        try:
            labelsOf(self._table.pairs)
        except SAMedError as error:
            return str(error)
        return ""

    def evaluation(self, protocol: str, folder: Path) -> SceneEvaluation:
        """Raises SAMedError if the choice of organs makes no sense."""
        ui = self._ui
        return SceneEvaluation(
            ui.predictionSelector.currentNode(),
            ui.referenceSelector.currentNode(),
            ui.evaluationVolumeSelector.currentNode(),
            self._table.pairs,
            protocol,
            folder,
        )

    def _onSegmentation(self, *_ignored: Any) -> None:
        if self._loading:
            return
        self._parameters.prediction = self._ui.predictionSelector.currentNode()
        self._parameters.reference = self._ui.referenceSelector.currentNode()
        self._proposeVolume()
        self._showPairs()
        self._onChanged()

    def _onVolume(self, *_ignored: Any) -> None:
        if self._loading:
            return
        self._parameters.evaluationVolume = self._ui.evaluationVolumeSelector.currentNode()
        self._onChanged()

    def _onPairs(self) -> None:
        self._ui.pairsLabel.text = describePairs(self._table.pairs)
        self._onChanged()

    def _proposeVolume(self) -> None:
        """The volume that the reference was drawn on, or else the prediction."""
        selector = self._ui.evaluationVolumeSelector
        if selector.currentNode() is not None:
            return
        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        for node in (self._ui.referenceSelector.currentNode(), self._ui.predictionSelector.currentNode()):
            volume = node.GetNodeReference(role) if node is not None else None
            if volume is not None:
                selector.setCurrentNode(volume)
                return

    def _showPairs(self) -> None:
        self._shown = predicted, referenced = self._segments()
        both = bool(predicted and referenced)
        self._ui.pairsCollapsibleButton.visible = self._ui.pairsLabel.visible = both
        pairs = proposePairs(predicted, referenced, SegmentationReader()) if both else []
        self._table.show(pairs, predicted, referenced)
        self._ui.pairsLabel.text = describePairs(pairs) if both else ""

    def _segments(self) -> tuple[list[SegmentInfo], list[SegmentInfo]]:
        nodes = (self._ui.predictionSelector.currentNode(), self._ui.referenceSelector.currentNode())
        first, second = (SegmentationReader().segmentsOf(node) if node is not None else [] for node in nodes)
        return first, second
