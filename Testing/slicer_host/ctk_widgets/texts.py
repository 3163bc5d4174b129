"""Combo boxes, search fields, message boxes."""

from __future__ import annotations

from PySide6 import QtGui, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty


@standIn()
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for "nothing chosen"."""

    defaultText = storedProperty("defaultText", str, "", changed=lambda widget: widget.update())
    defaultIcon = storedProperty("defaultIcon", QtGui.QIcon, QtGui.QIcon())
    elideMode = storedProperty("elideMode", int, 3)
    scrollWheelEffect = storedProperty("scrollWheelEffect", int, 0)

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.currentIndex == -1:
            option.currentText = self.defaultText
        painter.drawComplexControl(QtWidgets.QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


@standIn()
class ctkSearchBox(QtWidgets.QLineEdit):
    showSearchIcon = storedProperty("showSearchIcon", bool, False)
    alwaysShowClearIcon = storedProperty("alwaysShowClearIcon", bool, False)


@standIn()
class ctkFittedTextBrowser(QtWidgets.QTextBrowser):
    collapsed = storedProperty("collapsed", bool, True)
    collapsibleText = storedProperty("collapsibleText", str, "")


@standIn()
class ctkMessageBox(QtWidgets.QMessageBox):
    dontShowAgain = storedProperty("dontShowAgain", bool, False)
    dontShowAgainVisible = storedProperty("dontShowAgainVisible", bool, False)
    dontShowAgainSettingsKey = storedProperty("dontShowAgainSettingsKey", str, "")
