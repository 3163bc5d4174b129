"""Editors for settings, a row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt

from SAMedSlicerLib.TrainingSettingList import Setting
from SAMedSlicerLib.TrainingSettings import TrainingSettings, choicesOf, defaultText


class SettingsForm:
    """Rows of a form layout; only what differs from the default is given back.

    Args:
        layout: a QFormLayout; rows are appended.
        onChanged: called after the user has changed a value.
    """

    def __init__(self, layout: Any, settings: Sequence[Setting], onChanged: Callable[[], None]) -> None:
        self._onChanged = onChanged
        self._editors: list[tuple[Setting, Any]] = []
        self._filling = False
        for setting in settings:
            editor = self._makeEditor(setting)
            editor.toolTip = setting.help
            editor.objectName = f"{setting.name}Editor"
            if setting.kind == "flag":
                layout.addRow(editor)
            else:
                label = qt.QLabel(f"{setting.title}:")
                label.toolTip = setting.help
                layout.addRow(label, editor)
            self._editors.append((setting, editor))

    def show(self, settings: TrainingSettings) -> None:
        self._filling = True
        for setting, editor in self._editors:
            if setting.kind == "flag":
                editor.checked = settings.flag(setting)
            elif setting.kind == "choice":
                editor.setCurrentIndex(max(0, editor.findText(settings.text(setting) or setting.automatic)))
            else:
                editor.text = settings.text(setting)
        self._filling = False

    def given(self) -> dict[str, str | bool]:
        """What the user gave, by the name of the setting."""
        given: dict[str, str | bool] = {}
        for setting, editor in self._editors:
            if setting.kind == "flag":
                if editor.checked:
                    given[setting.name] = True
                continue
            text = str(editor.currentText if setting.kind == "choice" else editor.text).strip()
            if text == setting.automatic:
                text = ""
            if text != defaultText(setting):
                given[setting.name] = text
        return given

    def _makeEditor(self, setting: Setting) -> Any:
        if setting.kind == "flag":
            editor = qt.QCheckBox(setting.title)
            editor.connect("toggled(bool)", self._onEdited)
        elif setting.kind == "choice":
            editor = qt.QComboBox()
            if setting.automatic:
                editor.addItem(setting.automatic)
            editor.addItems(list(choicesOf(setting)))
            editor.connect("currentIndexChanged(int)", self._onEdited)
        else:
            editor = qt.QLineEdit()
            editor.placeholderText = setting.automatic
            editor.connect("editingFinished()", self._onEdited)
        return editor

    def _onEdited(self, *_: Any) -> None:
        if not self._filling:
            self._onChanged()
