"""Where trainings are saved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.TrainingRuns import defaultParent, newRunFolder

_SETTING = "trainingFolder"


class RunFolderPanel:
    """The folder in which each training gets one of its own; beside the training set where the user does not say.

    Args:
        ui: the widgets of TrainingTab.ui.
        onChanged: called after the user has changed it.
    """

    def __init__(self, ui: Any, host: Host, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._host = host
        self._onChanged = onChanged
        ui.runFolderEdit.text = host.setting(_SETTING)
        ui.runFolderEdit.connect("editingFinished()", self._onEdited)
        ui.chooseRunFolderButton.connect("clicked(bool)", lambda *_: self._onChoose())

    def showFor(self, dataset: Path | None) -> None:
        """Say where trainings of this training set go by default."""
        self._ui.runFolderEdit.placeholderText = str(defaultParent(dataset)) if dataset else ""

    def newFolder(self, dataset: Path) -> Path:
        """A run folder that does not exist yet."""
        chosen = str(self._ui.runFolderEdit.text).strip()
        return newRunFolder(Path(chosen).expanduser() if chosen else defaultParent(dataset), dataset)

    def _onChoose(self) -> None:
        folder = self._host.chooseFolder(_("Folder in which trainings are saved"))
        if folder:
            self._ui.runFolderEdit.text = folder
            self._onEdited()

    def _onEdited(self) -> None:
        text = str(self._ui.runFolderEdit.text).strip()
        if text != self._host.setting(_SETTING):
            self._host.setSetting(_SETTING, text)
            self._onChanged()
