"""The list of training cases: which folder, which cases with which labels, look at one, take one out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.CaseBrowser import CaseBrowser
from SAMedSlicerLib.CaseLabels import CaseLabels
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.TableHeight import fitHeight
from SAMedSlicerLib.TrainingSet import TrainingSet, holdsFiles

_FOLDER_SETTING = "datasetFolder"
_NEW_FOLDER = "SAMed training set"


class TrainingCasesPanel:
    """Shows a dataset folder.

    Args:
        ui: the widgets of TrainingTab.ui.
        onChanged: called after the set may have become another one.
    """

    def __init__(self, ui: Any, host: Host, parameters: Any, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._host = host
        self._parameters = parameters
        self._onChanged = onChanged
        self._set: TrainingSet | None = None
        self._labels: CaseLabels | None = None
        self._unread: list[tuple[int, Path]] = []  # row, label file
        self._reading = host.timer()
        self._reading.interval = 20
        self._reading.connect("timeout()", self._readOne)
        ui.datasetFolderEdit.connect("editingFinished()", self._onFolderTyped)
        ui.chooseDatasetButton.connect("clicked(bool)", lambda *_: self._onChoose())
        ui.casesTable.connect("itemSelectionChanged()", self._updateButtons)
        ui.casesTable.connect("cellDoubleClicked(int,int)", lambda row, column: self._onShow())
        ui.showCaseButton.connect("clicked(bool)", lambda *_: self._onShow())
        ui.removeCaseButton.connect("clicked(bool)", lambda *_: self._onRemove())

    @property
    def trainingSet(self) -> TrainingSet | None:
        """The set as it was last read, None if there is none."""
        return self._set

    def currentSet(self) -> TrainingSet:
        """The set as it is on disk now.

        Raises:
            SAMedError: if no folder is chosen, or it cannot be understood.
        """
        if not self._folder():
            raise SAMedError(_("Choose a folder for the training set first."))
        return TrainingSet.open(self._folder())

    def restore(self) -> None:
        """Show the folder of the scene, or the one that was used last."""
        folder = self._parameters.datasetFolder or self._host.setting(_FOLDER_SETTING)
        self._ui.datasetFolderEdit.text = folder or ""
        self.refresh()

    def refresh(self) -> None:
        """Read the folder again."""
        self._reading.stop()
        self._unread = []
        problem = ""
        try:
            self._set = TrainingSet.open(self._folder()) if self._folder() else None
        except (SAMedError, OSError) as error:
            self._set, problem = None, str(error)
        self._ui.datasetLabel.text = problem or _summary(self._set)
        self._fillTable()
        self._onChanged()

    def setEnabled(self, enabled: bool) -> None:
        """While a case is added the folder stays."""
        for widget in (self._ui.datasetFolderEdit, self._ui.chooseDatasetButton):
            widget.enabled = enabled
        self._updateButtons(enabled)

    def close(self) -> None:
        self._reading.stop()

    def _folder(self) -> str:
        return str(self._ui.datasetFolderEdit.text).strip()

    def _fillTable(self) -> None:
        table = self._ui.casesTable
        cases = self._set.cases if self._set else {}
        table.setRowCount(len(cases))
        self._labels = CaseLabels(self._set.folder) if self._set else None
        for row, (name, files) in enumerate(cases.items()):
            table.setItem(row, 0, qt.QTableWidgetItem(name))
            values = self._labels.known(files.labels) if files and self._labels else []
            if values is None and files:
                self._unread.append((row, files.labels))
            self._showLabels(row, values)
        if cases:
            table.resizeColumnToContents(0)
        fitHeight(table)
        if self._unread:
            self._reading.start()
        self._updateButtons()

    def _showLabels(self, row: int, values: list[int] | None) -> None:
        names = {value: name for name, value in self._set.values.items()} if self._set else {}
        text = "..." if values is None else ", ".join(names.get(value, str(value)) for value in values)
        item = qt.QTableWidgetItem(text)
        item.setToolTip(text)
        self._ui.casesTable.setItem(row, 1, item)

    def _readOne(self) -> None:
        """One file at a time, so that the window stays alive."""
        if not self._unread or self._labels is None:
            self._reading.stop()
            return
        row, path = self._unread.pop(0)
        self._showLabels(row, self._labels.read(path))

    def _updateButtons(self, enabled: bool = True) -> None:
        selected = self._selected() is not None
        showable = enabled and selected and self._set is not None and self._set.cases[self._selected()] is not None
        self._ui.showCaseButton.enabled = showable
        self._ui.removeCaseButton.enabled = bool(showable and self._set and not self._set.readOnly)
        self._ui.removeCaseButton.visible = self._ui.showCaseButton.visible = bool(self._set and self._set.cases)

    def _selected(self) -> str | None:
        row = self._ui.casesTable.currentRow()
        names = list(self._set.cases) if self._set else []
        return names[row] if 0 <= row < len(names) else None

    def _onFolderTyped(self) -> None:
        if self._folder() != (self._parameters.datasetFolder or self._host.setting(_FOLDER_SETTING)):
            self._use(self._folder())

    def _onChoose(self) -> None:
        folder = self._host.chooseFolder(_("Folder of the training set"))
        if not folder:
            return
        try:
            TrainingSet.open(folder)
        except SAMedError:
            if Path(folder).is_dir() and holdsFiles(Path(folder)) and not (Path(folder) / "dataset.json").exists():
                inside = Path(folder) / _NEW_FOLDER
                question = _("{folder} holds other files. Keep the training set in a folder '{name}' in it?")
                if not self._host.confirm(question.format(folder=folder, name=_NEW_FOLDER)):
                    return
                folder = str(inside)
        self._use(folder)

    def _use(self, folder: str) -> None:
        self._ui.datasetFolderEdit.text = folder
        self._parameters.datasetFolder = folder
        self._host.setSetting(_FOLDER_SETTING, folder)
        self.refresh()

    def _onShow(self) -> None:
        name = self._selected()
        if name is None or self._set is None or self._set.cases[name] is None:
            return
        try:
            volumeNode, segmentationNode = CaseBrowser(self._host.scene).show(self._set.folder, name)
        except (SAMedError, OSError, MemoryError) as error:
            self._host.showError(str(error) or _("There is not enough memory to show this case."))
            return
        self._host.showVolume(volumeNode, segmentationNode)

    def _onRemove(self) -> None:
        name = self._selected()
        if name is None:
            return
        question = _("Take {name} out of the training set? Its files are kept in the folder 'removed'.")
        if not self._host.confirm(question.format(name=name)):
            return
        try:
            self.currentSet().remove(name)
        except (SAMedError, KeyError) as error:
            self._host.showError(str(error))
        except OSError as error:
            reason = error.strerror or str(error)
            self._host.showError(_("{name} could not be moved: {reason}.").format(name=name, reason=reason))
        self.refresh()


def _summary(trainingSet: TrainingSet | None) -> str:
    if trainingSet is None:
        return _("Choose a folder to begin.")
    if trainingSet.isNew:
        return trainingSet.readOnly or _("A new training set. Its labels are those of the first case that you add.")
    count = len(trainingSet.cases)
    cases = _("1 case") if count == 1 else _("{count} cases").format(count=count)
    text = _("{cases}. Labels: {labels}.").format(cases=cases, labels=", ".join(trainingSet.values))
    return f"{text} {trainingSet.readOnly}".strip()
