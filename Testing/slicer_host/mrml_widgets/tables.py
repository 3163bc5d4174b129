"""qMRMLTableView: shows a table node."""

from __future__ import annotations

from typing import Any, ClassVar

import vtk
from PySide6 import QtCore, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty
from .scene_observer import Observer
from .scene_widgets import SceneHolder


@standIn()
class qMRMLTableView(SceneHolder, QtWidgets.QTableView):
    mrmlSceneChanged = QtCore.Signal(object)
    selectionChangedByUser = QtCore.Signal()
    cppSignals: ClassVar[dict[str, str]] = {
        "selectionChanged()": "selectionChangedByUser",
    }

    _node: Any
    _observer: Observer

    transposed = storedProperty("transposed", bool, False)
    firstRowLocked = storedProperty("firstRowLocked", bool, False)
    firstColumnLocked = storedProperty("firstColumnLocked", bool, False)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node = None
        self.setModel(_TableModel(self))
        self._observer = Observer(self, (vtk.vtkCommand.ModifiedEvent,), self._refresh)
        self.selectionModel().selectionChanged.connect(lambda *_: self.selectionChangedByUser.emit())

    def setMRMLTableNode(self, node: Any) -> None:
        self._node = node
        self._observer.observe(node)
        self._refresh()

    def mrmlTableNode(self) -> Any:
        return self._node

    def _refresh(self) -> None:
        self.model().showNode(self._node)


class _TableModel(QtCore.QAbstractTableModel):
    """The values of a vtkMRMLTableNode as texts."""

    def __init__(self, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self._node: Any = None

    def showNode(self, node: Any) -> None:
        self.beginResetModel()
        self._node = node
        self.endResetModel()

    def rowCount(self, parent: QtCore.QModelIndex | None = None) -> int:
        return 0 if self._node is None else self._node.GetNumberOfRows()

    def columnCount(self, parent: QtCore.QModelIndex | None = None) -> int:
        return 0 if self._node is None else self._node.GetNumberOfColumns()

    def data(self, index: QtCore.QModelIndex, role: int = QtCore.Qt.ItemDataRole.DisplayRole) -> str | None:
        if role != QtCore.Qt.ItemDataRole.DisplayRole:
            return None
        return self._node.GetTable().GetValue(index.row(), index.column()).ToString()

    def headerData(
        self, section: int, orientation: QtCore.Qt.Orientation, role: int = QtCore.Qt.ItemDataRole.DisplayRole
    ) -> str | None:
        if role != QtCore.Qt.ItemDataRole.DisplayRole or self._node is None:
            return None
        if orientation == QtCore.Qt.Orientation.Vertical:
            return str(section + 1)
        name = self._node.GetColumnName(section)
        return self._node.GetColumnTitle(name) or name
