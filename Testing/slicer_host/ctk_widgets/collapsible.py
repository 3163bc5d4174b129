"""Sections that fold."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty

_HEADER = 22


class _Fold:
    """Hides the children of a section, and shows again those that it hid.

    The mark is on the child: a reference kept here, made while the child was being constructed, would be to a plain
    QWidget for ever.
    """

    _MARK = "_foldedAway"

    def hide(self, child: QtWidgets.QWidget) -> None:
        child.setVisible(False)
        child.setProperty(self._MARK, True)

    def setOpen(self, section: QtWidgets.QWidget, open: bool) -> None:
        direct = QtCore.Qt.FindChildOption.FindDirectChildrenOnly
        for child in section.findChildren(QtWidgets.QWidget, options=direct):
            if open and child.property(self._MARK):
                child.setProperty(self._MARK, None)
                child.setVisible(True)
            elif not open and not child.isHidden():
                self.hide(child)


@standIn()
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that shows and hides the children below it. Checked means open."""

    contentsCollapsed = QtCore.Signal(bool)

    _fold: _Fold

    flat = storedProperty("flat", bool, False)
    collapsedHeight = storedProperty("collapsedHeight", int, 10)
    contentsLineWidth = storedProperty("contentsLineWidth", int, 1)
    contentsMidLineWidth = storedProperty("contentsMidLineWidth", int, 0)
    contentsFrameShape = storedProperty(
        "contentsFrameShape", QtWidgets.QFrame.Shape, QtWidgets.QFrame.Shape.StyledPanel
    )
    contentsFrameShadow = storedProperty("contentsFrameShadow", QtWidgets.QFrame.Shadow, QtWidgets.QFrame.Shadow.Raised)

    def __init__(self, *arguments: object) -> None:
        parent = next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None)
        super().__init__(parent)
        self._fold = _Fold()
        self.text = next((a for a in arguments if isinstance(a, str)), "")
        self.checkable = True
        self.checked = True
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContentsMargins(2, _HEADER, 2, 2)
        self.toggled.connect(self._onToggled)

    def _readCollapsed(self) -> bool:
        return not self.checked

    def _writeCollapsed(self, collapsed: bool) -> None:
        self.checked = not collapsed

    collapsed = QtCore.Property(bool, _readCollapsed, _writeCollapsed)

    def _onToggled(self, open: bool) -> None:
        self._fold.setOpen(self, open)
        self.updateGeometry()
        self.contentsCollapsed.emit(not open)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        super().childEvent(event)
        if event.added() and event.child().isWidgetType() and self.collapsed:
            self._fold.hide(event.child())

    def sizeHint(self) -> QtCore.QSize:
        return self._header() if self._isBare() else self.layout().totalSizeHint().expandedTo(self._header())

    def minimumSizeHint(self) -> QtCore.QSize:
        return self._header() if self._isBare() else self.layout().totalMinimumSize().expandedTo(self._header())

    def _header(self) -> QtCore.QSize:
        """As in CTK, a title is never cut."""
        return QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text) + 2 * _HEADER, _HEADER)

    def _isBare(self) -> bool:
        return self.collapsed or self.layout() is None

    def hitButton(self, position: QtCore.QPoint) -> bool:
        return position.y() < _HEADER

    def paintEvent(self, _event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        header = QtCore.QRect(0, 0, self.width, _HEADER - 2)
        painter.fillRect(header, self.palette.button().color().darker(106))
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(4, 4, 12, 12)
        primitive = QtWidgets.QStyle.PrimitiveElement
        shape = primitive.PE_IndicatorArrowDown if self.checked else primitive.PE_IndicatorArrowRight
        self.style().drawPrimitive(shape, arrow, painter, self)
        painter.setPen(self.palette.buttonText().color())
        painter.drawText(header.adjusted(22, 0, 0, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, self.text)
        painter.end()


@standIn()
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box whose check mark folds it."""

    _fold: _Fold

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.checkable = True
        self.checked = True
        self._fold = _Fold()
        self.toggled.connect(lambda open: self._fold.setOpen(self, open))

    def _readCollapsed(self) -> bool:
        return not self.checked

    def _writeCollapsed(self, collapsed: bool) -> None:
        self.checked = not collapsed

    collapsed = QtCore.Property(bool, _readCollapsed, _writeCollapsed)


@standIn()
class ctkExpandableWidget(QtWidgets.QFrame):
    orientations = storedProperty("orientations", int, 3)
