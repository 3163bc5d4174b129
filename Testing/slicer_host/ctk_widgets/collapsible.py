"""Sections that fold."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty

_HEADER = 22


@standIn()
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that shows and hides the children below it. Checked means open."""

    contentsCollapsed = QtCore.Signal(bool)

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
        self.text = next((a for a in arguments if isinstance(a, str)), "")
        self.checkable = True
        self.checked = True
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContentsMargins(2, _HEADER, 2, 2)
        self.toggled.connect(self._showContents)

    def _readCollapsed(self) -> bool:
        return not self.checked

    def _writeCollapsed(self, collapsed: bool) -> None:
        self.checked = not collapsed

    collapsed = QtCore.Property(bool, _readCollapsed, _writeCollapsed)

    def _showContents(self, shown: bool) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
            child.setVisible(shown)
        self.updateGeometry()
        self.contentsCollapsed.emit(not shown)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        super().childEvent(event)
        if event.added() and event.child().isWidgetType() and self.collapsed:
            event.child().setVisible(False)

    def sizeHint(self) -> QtCore.QSize:
        header = QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text) + 2 * _HEADER, _HEADER)
        return header if self.layout() is None or self.collapsed else self.layout().totalSizeHint().expandedTo(header)

    def minimumSizeHint(self) -> QtCore.QSize:
        header = QtCore.QSize(_HEADER, _HEADER)
        return (
            header if self.layout() is None or self.collapsed else self.layout().totalMinimumSize().expandedTo(header)
        )

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

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.checkable = True
        self.checked = True
        self.toggled.connect(self._showContents)

    def _readCollapsed(self) -> bool:
        return not self.checked

    def _writeCollapsed(self, collapsed: bool) -> None:
        self.checked = not collapsed

    collapsed = QtCore.Property(bool, _readCollapsed, _writeCollapsed)

    def _showContents(self, shown: bool) -> None:
        for child in self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindChildOption.FindDirectChildrenOnly):
            child.setVisible(shown)


@standIn()
class ctkExpandableWidget(QtWidgets.QFrame):
    orientations = storedProperty("orientations", int, 3)
