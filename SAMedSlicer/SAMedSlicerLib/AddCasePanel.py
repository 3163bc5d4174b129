"""Adding the current volume and segmentation to the training set."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE
from SAMedSlicerLib.CaseExport import CaseExport
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.InputVolume import checkVolume
from SAMedSlicerLib.JobStrip import JobStrip
from SAMedSlicerLib.LabelMapping import labelsFor, proposeLabels
from SAMedSlicerLib.MappingTable import MappingTable
from SAMedSlicerLib.SegmentationReader import SegmentationReader
from SAMedSlicerLib.TrainingSet import TrainingSet


@dataclass(frozen=True)
class _Attempt:
    """What is being added: the set as it was before, the case, and the labels that are new to the set."""

    before: TrainingSet
    name: str
    new: list[str]

    def undo(self) -> None:
        self.before.undo(self.name, self.new)


class AddCasePanel:
    """Volume, segmentation, what their segments are called, and the button that adds them.

    Args:
        ui: the widgets of TrainingTab.ui.
        currentSet: reads the training set; raises SAMedError if there is none.
        onBusy: told whether a case is being added.
        onAdded: called after the set has changed.
    """

    def __init__(
        self,
        ui: Any,
        host: Host,
        parameters: Any,
        currentSet: Callable[[], TrainingSet],
        onBusy: Callable[[bool], None],
        onAdded: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._host = host
        self._parameters = parameters
        self._currentSet = currentSet
        self._onBusy = onBusy
        self._onAdded = onAdded
        self._reader = SegmentationReader()
        self.mapping = MappingTable(ui.mappingTable)
        self._strip = JobStrip(ui.addCaseButton, ui.addCaseProgressBar, ui.addCaseStatusLabel, host, self._onAdd)
        self._folder: Path | None = None
        self._attempt: _Attempt | None = None
        self._proposed: tuple | None = None
        self._proposedName = ""
        self._restoring = False
        self._shownFolder: Path | None = None
        ui.trainingVolumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onVolume)
        ui.trainingSegmentationSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onSegmentation)

    def restore(self) -> None:
        """Show what the scene remembers."""
        parameters = self._parameters
        self._restoring = True  # what is proposed here is not the user's choice
        self._ui.trainingVolumeSelector.setCurrentNode(parameters.trainingVolume or parameters.inputVolume)
        self._ui.trainingSegmentationSelector.setCurrentNode(parameters.trainingSegmentation or parameters.segmentation)
        self._restoring = False
        self.refresh()

    def refresh(self) -> None:
        """Show the segments as they are now; what the user chose for them stays, as long as they are the same."""
        trainingSet = self._knownSet()
        if trainingSet and trainingSet.folder != self._shownFolder and not self._strip.busy:
            self._shownFolder = trainingSet.folder
            self._strip.say("")
        segments = self._segments()
        proposal = (tuple(segments), tuple(trainingSet.values) if trainingSet else ())
        if proposal != self._proposed:
            self._proposed = proposal
            known = trainingSet.labelSet if trainingSet and trainingSet.values else None
            names = known.names if known else [label.name for label in SYNAPSE]
            self.mapping.show(segments, names, proposeLabels(segments, known, self._reader) if segments else {})
        if trainingSet and not self._strip.busy and str(self._ui.caseNameEdit.text).strip() in ("", self._proposedName):
            self._proposedName = trainingSet.nextName()
            self._ui.caseNameEdit.text = self._proposedName
        self._updateButton(trainingSet)

    def close(self) -> None:
        """The scene or the panel goes: a case that is half-way is taken back."""
        if self._strip.busy:
            self._strip.abandon()
            self._takeBack()
            self._end()

    def _onVolume(self, node: Any = None) -> None:
        if not self._restoring:
            self._parameters.trainingVolume = self._ui.trainingVolumeSelector.currentNode()
        self._updateButton(self._knownSet())

    def _onSegmentation(self, node: Any = None) -> None:
        if not self._restoring:
            self._parameters.trainingSegmentation = self._ui.trainingSegmentationSelector.currentNode()
        self.refresh()

    def _segments(self) -> list[Any]:
        node = self._ui.trainingSegmentationSelector.currentNode()
        return self._reader.segmentsOf(node) if node is not None else []

    def _knownSet(self) -> TrainingSet | None:
        try:
            return self._currentSet()
        except (SAMedError, OSError):
            return None

    def _updateButton(self, trainingSet: TrainingSet | None) -> None:
        if self._strip.busy:
            return
        reason = ""
        if trainingSet is None:
            reason = _("Choose a folder for the training set first.")
        elif trainingSet.readOnly:
            reason = trainingSet.readOnly
        elif self._ui.trainingVolumeSelector.currentNode() is None:
            reason = _("Choose a volume.")
        elif self._ui.trainingSegmentationSelector.currentNode() is None:
            reason = _("Choose a segmentation.")
        self._ui.addCaseButton.enabled = not reason
        self._ui.addCaseButton.toolTip = reason or _("Write the scan and these labels into the training set.")

    def _onAdd(self) -> None:
        shown = self.mapping.segments
        self.refresh()
        if shown != self.mapping.segments:
            self._strip.say(_("The segmentation has changed; look at its labels again, then add it."))
            return
        try:
            export = self._prepare()
        except (SAMedError, OSError) as error:
            self._strip.say(_sentence(error))
            return
        if export is not None:
            self._onBusy(True)
            self._strip.work(export.steps(), lambda ok, message: self._onExported(ok, export), (SAMedError, OSError))

    def _prepare(self) -> CaseExport | None:
        """What to write; None if the user has second thoughts."""
        volume = self._ui.trainingVolumeSelector.currentNode()
        segmentation = self._ui.trainingSegmentationSelector.currentNode()
        warnings = checkVolume(volume)
        trainingSet = self._currentSet()
        name = str(self._ui.caseNameEdit.text).strip() or trainingSet.nextName()
        trainingSet.checkName(name)
        labels, new = labelsFor(self.mapping.chosen(), list(trainingSet.values))
        values = trainingSet.valuesWith(new)
        doubts = [*warnings, *_doubts(trainingSet, labels.values(), new)]
        if doubts and not self._host.confirm("\n\n".join([*doubts, _("Add the case?")])):
            return None
        self._ui.caseNameEdit.text = name
        self._attempt = _Attempt(trainingSet, name, new)
        self._folder = self._host.temporaryFolder()
        mapping = {segment: values[label] for segment, label in labels.items()}
        return CaseExport(self._folder, self._host.scene, name, volume.GetID(), segmentation.GetID(), mapping)

    def _onExported(self, ok: bool, export: CaseExport) -> None:
        if not ok:
            self._end()
            return
        try:
            self._attempt.before.addLabels(self._attempt.new)
        except (SAMedError, OSError) as error:
            self._strip.say(_sentence(error))
            self._end()
            return
        self._strip.run(
            export.command(self._attempt.before.folder),
            self._folder / "job",
            onFinished=lambda job, ok, message: self._onFinished(ok, export),
        )

    def _onFinished(self, ok: bool, export: CaseExport) -> None:
        if ok:
            self._ui.caseNameEdit.text = ""
            self._strip.say(" ".join([_("{name} was added.").format(name=export.name), *self._remarks(export)]))
        else:
            self._takeBack()
        self._end()
        self._onAdded()

    def _remarks(self, export: CaseExport) -> list[str]:
        if not export.emptyValues:
            return export.notes
        values = self._attempt.before.valuesWith(self._attempt.new)
        empty = [name for name, value in values.items() if value in export.emptyValues]
        return [*export.notes, _("It has no voxel of {labels}.").format(labels=", ".join(empty))]

    def _takeBack(self) -> None:
        try:
            if self._attempt is not None:
                self._attempt.undo()
        except (SAMedError, OSError) as error:
            self._strip.say(_sentence(error))

    def _end(self) -> None:
        self._attempt = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)  # patient data does not linger
        self._folder = None
        self._onBusy(False)
        self._updateButton(self._knownSet())


def _doubts(trainingSet: TrainingSet, labels: Any, new: list[str]) -> list[str]:
    """What a careful colleague would ask before this case is added."""
    doubts = []
    missing = [name for name in trainingSet.values if name not in labels]
    if missing:
        doubts.append(
            _(
                "No segment stands for {labels}. Where this scan shows them, the model learns that they are not there."
            ).format(labels=", ".join(missing))
        )
    if new and trainingSet.cases:
        doubts.append(
            _(
                "{labels}: new in this training set. Earlier cases ({count}) have no such label, so the model learns "
                "that those scans do not show it."
            ).format(labels=", ".join(new), count=len(trainingSet.cases))
        )
    return doubts


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return str(error)
