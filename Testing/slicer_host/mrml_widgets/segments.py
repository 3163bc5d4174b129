"""Widgets that show the segments of a segmentation node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty
from .node_combo_box import qMRMLNodeComboBox
from .scene_observer import Observer
from .scene_widgets import SceneHolder

_ID = QtCore.Qt.ItemDataRole.UserRole


def _segmentEvents() -> tuple[int, ...]:
    segmentation = slicer.vtkSegmentation
    return (segmentation.SegmentAdded, segmentation.SegmentRemoved, segmentation.SegmentModified)


def _segments(node: Any) -> list[tuple[str, Any]]:
    """(identifier, vtkSegment) in order."""
    if node is None:
        return []
    segmentation = node.GetSegmentation()
    identifiers = [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]
    return [(identifier, segmentation.GetSegment(identifier)) for identifier in identifiers]


def _observedSegmentation(node: Any) -> Any:
    return None if node is None else node.GetSegmentation()


@standIn()
class qMRMLSegmentSelectorWidget(SceneHolder, QtWidgets.QWidget):
    """A segmentation node and one of its segments."""

    mrmlSceneChanged = QtCore.Signal(object)
    currentNodeChanged = QtCore.Signal(object)
    currentNodeValid = QtCore.Signal(bool)
    currentSegmentChanged = QtCore.Signal(str)
    cppSignals: ClassVar[dict[str, str]] = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "currentNodeValid",
    }

    _nodes: qMRMLNodeComboBox
    _names: QtWidgets.QComboBox
    _observer: Observer

    noneEnabled = storedProperty("noneEnabled", bool, False, changed=lambda w: w._onNoneEnabled())
    editEnabled = storedProperty("editEnabled", bool, False)
    selectNodeUponCreation = storedProperty("selectNodeUponCreation", bool, True)
    segmentationNodeSelectorVisible = storedProperty(
        "segmentationNodeSelectorVisible",
        bool,
        True,
        changed=lambda w: w._nodes.setVisible(w.segmentationNodeSelectorVisible),
    )

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._nodes = qMRMLNodeComboBox(self)
        self._nodes.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._nodes.addEnabled = self._nodes.removeEnabled = False
        self._names = QtWidgets.QComboBox(self)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._nodes)
        column.addWidget(self._names)
        self._observer = Observer(self, _segmentEvents(), self._refresh)
        self._nodes.currentNodeChanged.connect(self._onNodeChanged)
        self._names.currentIndexChanged.connect(lambda _: self.currentSegmentChanged.emit(self.currentSegmentID()))

    def currentNode(self) -> Any:
        return self._nodes.currentNode()

    def currentNodeID(self) -> str:
        return self._nodes.currentNodeID

    def setCurrentNode(self, node: Any) -> None:
        self._nodes.setCurrentNode(node)

    def setCurrentNodeID(self, identifier: str) -> None:
        self._nodes.setCurrentNodeID(identifier)

    def currentSegmentID(self) -> str:
        return self._names.currentData or ""

    def setCurrentSegmentID(self, identifier: str) -> None:
        self._names.setCurrentIndex(self._names.findData(identifier))

    def segmentIDs(self) -> tuple[str, ...]:
        return tuple(identifier for identifier, _ in _segments(self.currentNode()))

    def _onSceneSet(self) -> None:
        self._nodes.setMRMLScene(self.mrmlScene())

    def _onNoneEnabled(self) -> None:
        self._nodes.noneEnabled = self.noneEnabled
        self._refresh()

    def _onNodeChanged(self, node: Any) -> None:
        self._observer.observe(_observedSegmentation(node))
        self._refresh()
        self.currentNodeChanged.emit(node)
        self.currentNodeValid.emit(node is not None)

    def _refresh(self) -> None:
        before = self.currentSegmentID()
        self._names.clear()
        if self.noneEnabled:
            self._names.addItem("None", "")
        for identifier, segment in _segments(self.currentNode()):
            self._names.addItem(segment.GetName(), identifier)
        if before:
            self.setCurrentSegmentID(before)


@standIn()
class qMRMLSegmentsTableView(SceneHolder, QtWidgets.QWidget):
    """A row with colour and name for each segment."""

    mrmlSceneChanged = QtCore.Signal(object)
    selectionChanged = QtCore.Signal(object, object)
    cppSignals: ClassVar[dict[str, str]] = {
        "selectionChanged(QItemSelection,QItemSelection)": "selectionChanged",
    }

    _table: QtWidgets.QTableWidget
    _node: Any
    _observer: Observer

    headerVisible = storedProperty("headerVisible", bool, True)
    visibilityColumnVisible = storedProperty("visibilityColumnVisible", bool, True)
    colorColumnVisible = storedProperty("colorColumnVisible", bool, True)
    opacityColumnVisible = storedProperty("opacityColumnVisible", bool, False)
    statusColumnVisible = storedProperty("statusColumnVisible", bool, False)
    layerColumnVisible = storedProperty("layerColumnVisible", bool, False)
    filterBarVisible = storedProperty("filterBarVisible", bool, False)
    readOnly = storedProperty("readOnly", bool, False)
    jumpToSelectedSegmentEnabled = storedProperty("jumpToSelectedSegmentEnabled", bool, False)
    selectionMode = storedProperty("selectionMode", int, 3, changed=lambda w: w._onSelectionMode())
    segmentCount = QtCore.Property(int, lambda w: w._table.rowCount)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node = None
        self._table = QtWidgets.QTableWidget(0, 2, self)
        self._table.setHorizontalHeaderLabels(["Color", "Name"])
        self._table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._table)
        self._observer = Observer(self, _segmentEvents(), self._refresh)
        self._table.selectionModel().selectionChanged.connect(lambda *change: self.selectionChanged.emit(*change))

    def tableWidget(self) -> QtWidgets.QTableView:
        return self._table

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        self._node = node
        self._observer.observe(_observedSegmentation(node))
        self._refresh()

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        rows = sorted(index.row() for index in self._table.selectionModel().selectedRows(1))
        return tuple(self._table.item(row, 1).data(_ID) for row in rows)

    def setSelectedSegmentIDs(self, identifiers: Sequence[str]) -> None:
        self._table.clearSelection()
        flags = QtCore.QItemSelectionModel.SelectionFlag.Select | QtCore.QItemSelectionModel.SelectionFlag.Rows
        for row in range(self._table.rowCount):
            if self._table.item(row, 1).data(_ID) in identifiers:
                self._table.selectionModel().select(self._table.model().index(row, 1), flags)

    def clearSelection(self) -> None:
        self._table.clearSelection()

    def rowForSegmentID(self, identifier: str) -> int:
        return [known for known, _ in _segments(self._node)].index(identifier)

    def segmentIDForRow(self, row: int) -> str:
        return self._table.item(row, 1).data(_ID)

    def _onSelectionMode(self) -> None:
        self._table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode(self.selectionMode))

    def _refresh(self) -> None:
        selected = self.selectedSegmentIDs()
        segments = _segments(self._node)
        self._table.setRowCount(len(segments))
        for row, (identifier, segment) in enumerate(segments):
            color = QtWidgets.QTableWidgetItem()
            color.setBackground(QtGui.QColor.fromRgbF(*segment.GetColor()))
            name = QtWidgets.QTableWidgetItem(segment.GetName())
            name.setData(_ID, identifier)
            self._table.setItem(row, 0, color)
            self._table.setItem(row, 1, name)
        self.setSelectedSegmentIDs(selected)
