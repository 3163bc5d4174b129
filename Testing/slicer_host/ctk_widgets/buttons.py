"""Push buttons with extras."""

from __future__ import annotations

from typing import ClassVar

from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty


@standIn()
class ctkPushButton(QtWidgets.QPushButton):
    buttonTextAlignment = storedProperty("buttonTextAlignment", int, 132)
    iconAlignment = storedProperty("iconAlignment", int, 129)


@standIn()
class ctkCheckablePushButton(ctkPushButton):
    """A button with a check box in it; the box decides whether the button is a toggle button."""

    checkBoxToggled = QtCore.Signal(bool)
    checkStateChanged = QtCore.Signal(object)
    cppSignals: ClassVar[dict[str, str]] = {"checkStateChanged(Qt::CheckState)": "checkStateChanged"}

    _checkState: QtCore.Qt.CheckState

    indicatorAlignment = storedProperty("indicatorAlignment", int, 129)
    checkBoxControlsButton = storedProperty("checkBoxControlsButton", bool, True)
    checkBoxControlsButtonToggleState = storedProperty("checkBoxControlsButtonToggleState", bool, False)
    checkBoxUserCheckable = storedProperty("checkBoxUserCheckable", bool, True)

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._checkState = QtCore.Qt.CheckState.Unchecked

    def _readCheckState(self) -> QtCore.Qt.CheckState:
        return self._checkState

    def _writeCheckState(self, state: QtCore.Qt.CheckState) -> None:
        state = QtCore.Qt.CheckState(state)
        if state == self._checkState:
            return
        self._checkState = state
        on = state == QtCore.Qt.CheckState.Checked
        if self.checkBoxControlsButton:
            wasChecked = self.checked
            self.checkable = on
            if wasChecked != self.checked:  # which Qt does not tell when a button stops being checkable
                self.toggled.emit(self.checked)
            if self.checkBoxControlsButtonToggleState:
                self.checked = on
        self.checkStateChanged.emit(state)
        self.checkBoxToggled.emit(on)

    checkState = QtCore.Property("QVariant", _readCheckState, _writeCheckState)


@standIn()
class ctkMenuButton(QtWidgets.QPushButton):
    pass


@standIn()
class ctkCheckBox(QtWidgets.QCheckBox):
    pass


@standIn()
class ctkColorPickerButton(QtWidgets.QPushButton):
    colorChanged = QtCore.Signal(QtGui.QColor)
    displayColorName = storedProperty("displayColorName", bool, True)
    color = storedProperty(
        "color", QtGui.QColor, QtGui.QColor("black"), changed=lambda widget: widget.colorChanged.emit(widget.color)
    )
