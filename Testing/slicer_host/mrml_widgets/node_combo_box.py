"""qMRMLNodeComboBox: chooses a node of the scene."""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from ..ctk_widgets.texts import ctkComboBox
from ..pythonqt.stand_in import standIn, storedProperty
from .node_filter import NodeFilter
from .scene_observer import Observer

_ID = QtCore.Qt.ItemDataRole.UserRole
_ACTION = QtCore.Qt.ItemDataRole.UserRole + 1


def _refresh(widget: qMRMLNodeComboBox) -> None:
    widget._refresh()


@standIn()
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Rows of a real combo box: "None" if enabled, the matching nodes, then the names of actions ("Create new ...").

    The actions are slots (addNode, removeCurrentNode, renameCurrentNode); their rows cannot be clicked here.
    Which row becomes current when rows come and go is decided by Qt, as in Slicer: deleting the current node may
    select its neighbour.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeValid = QtCore.Signal(bool)
    currentNodeIDChanged = QtCore.Signal(str)
    currentNodeRenamed = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    cppSignals: ClassVar[dict[str, str]] = {
        "currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged",
        "currentNodeChanged(bool)": "currentNodeValid",
        "nodeActivated(vtkMRMLNode*)": "nodeActivated",
        "nodeAdded(vtkMRMLNode*)": "nodeAdded",
        "nodeAddedByUser(vtkMRMLNode*)": "nodeAddedByUser",
        "nodeAboutToBeRemoved(vtkMRMLNode*)": "nodeAboutToBeRemoved",
    }

    _combo: ctkComboBox
    _model: QtGui.QStandardItemModel
    _filter: NodeFilter
    _scene: Any
    _sceneObserver: Observer
    _nodeObserver: Observer
    _settingScene: bool
    _wanted: str

    noneEnabled = storedProperty("noneEnabled", bool, False, changed=_refresh)
    noneDisplay = storedProperty("noneDisplay", str, "None", changed=_refresh)
    addEnabled = storedProperty("addEnabled", bool, True, changed=_refresh)
    removeEnabled = storedProperty("removeEnabled", bool, True, changed=_refresh)
    editEnabled = storedProperty("editEnabled", bool, False, changed=_refresh)
    renameEnabled = storedProperty("renameEnabled", bool, False, changed=_refresh)
    selectNodeUponCreation = storedProperty("selectNodeUponCreation", bool, True)
    baseName = storedProperty("baseName", str, "")
    interactionNodeSingletonTag = storedProperty("interactionNodeSingletonTag", str, "Singleton")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene, self._settingScene, self._wanted = None, False, ""
        self._filter = NodeFilter()
        self._combo = ctkComboBox(self)
        self._model = QtGui.QStandardItemModel(self)
        self._combo.setModel(self._model)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        events = slicer.vtkMRMLScene
        self._sceneObserver = Observer(
            self, (events.NodeAddedEvent, events.NodeRemovedEvent, events.EndImportEvent), self._refresh
        )
        self._nodeObserver = Observer(self, (vtk.vtkCommand.ModifiedEvent,), self._refreshRows)
        self._combo.currentIndexChanged.connect(self._onIndexChanged)
        self._combo.activated.connect(lambda _: self.nodeActivated.emit(self.currentNode()))
        self.enabled = False

    # --- the scene and what of it is shown

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        wanted = self._wanted or self.currentNodeID
        self._scene, self._settingScene = scene, True
        self._sceneObserver.observe(scene)
        self._refresh()
        self._combo.setCurrentIndex(-1)
        self._settingScene = False
        self._wanted = ""
        self.setCurrentNodeID(wanted)
        self.enabled = scene is not None

    def _readTypes(self) -> tuple[str, ...]:
        return tuple(self._filter.types)

    def _writeTypes(self, types: Any) -> None:
        self._filter.types = [name for name in types if name]
        self._refresh()

    def _writeHiddenTypes(self, types: Any) -> None:
        self._filter.excludedTypes = list(types)
        self._refresh()

    def _writeShowHidden(self, shown: bool) -> None:
        self._filter.showHidden = shown
        self._refresh()

    def _writeShowChildTypes(self, shown: bool) -> None:
        self._filter.showDerived = shown
        self._refresh()

    nodeTypes = QtCore.Property("QStringList", _readTypes, _writeTypes)
    hideChildNodeTypes = QtCore.Property("QStringList", lambda w: tuple(w._filter.excludedTypes), _writeHiddenTypes)
    showHidden = QtCore.Property(bool, lambda w: w._filter.showHidden, _writeShowHidden)
    showChildNodeTypes = QtCore.Property(bool, lambda w: w._filter.showDerived, _writeShowChildTypes)

    def addAttribute(self, nodeType: str, name: str, value: Any = None) -> None:
        self._filter.attributes[nodeType, name] = value
        self._refresh()

    def removeAttribute(self, nodeType: str, name: str) -> None:
        self._filter.attributes.pop((nodeType, name), None)
        self._refresh()

    def nodeTypeLabel(self, nodeType: str) -> str:
        return (self._scene and self._scene.GetTypeDisplayNameByClassName(nodeType)) or "node"

    # --- the choice

    def nodeCount(self) -> int:
        return len(self._nodeIDs())

    def nodeFromIndex(self, index: int) -> Any:
        identifiers = self._nodeIDs()
        return self._scene.GetNodeByID(identifiers[index]) if 0 <= index < len(identifiers) else None

    def currentNode(self) -> Any:
        identifier = self.currentNodeID
        return self._scene.GetNodeByID(identifier) if identifier and self._scene else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def setCurrentNodeID(self, identifier: str | None) -> None:
        if self._scene is None:
            self._wanted = identifier or ""
            return
        row = self._combo.findData(identifier, _ID) if identifier else -1
        self._combo.setCurrentIndex(0 if row < 0 and self.noneEnabled else row)

    currentNodeID = QtCore.Property(str, lambda w: w._combo.currentData or "", setCurrentNodeID)

    # --- what the actions do

    def addNode(self, nodeType: str | None = None) -> Any:
        nodeType = nodeType or (self.nodeTypes[0] if self.nodeTypes else "")
        if nodeType not in self.nodeTypes:
            return None
        node = self._scene.CreateNodeByClass(nodeType)
        node.UnRegister(None)
        node.SetName(self._scene.GenerateUniqueName(self.baseName or self.nodeTypeLabel(nodeType)))
        for (ofType, name), value in self._filter.attributes.items():
            if node.IsA(ofType):
                node.SetAttribute(name, "" if value is None else str(value))
        self._scene.AddNode(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self.currentNode())

    def renameCurrentNode(self) -> None:
        node = self.currentNode()
        name = node and QtWidgets.QInputDialog.getText(self, "Rename", "New name:", 0, node.GetName())
        if name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)

    # --- rows

    def _onIndexChanged(self, row: int) -> None:
        if self._settingScene:
            return
        node = self.currentNode()
        if node is None and row != -1 and not (self.noneEnabled and row == 0):
            # rows went away and the selection slid on an action: the last node takes it
            if self._nodeIDs():
                self.setCurrentNodeID(self._nodeIDs()[-1])
            return
        self.currentNodeChanged.emit(node)
        self.currentNodeValid.emit(node is not None)
        self.currentNodeIDChanged.emit(self.currentNodeID)

    def _nodeIDs(self) -> list[str]:
        found = (self._model.item(row).data(_ID) for row in range(self._model.rowCount()))
        return [identifier for identifier in found if identifier]

    def _actions(self) -> list[tuple[str, str]]:
        label = self.nodeTypeLabel(self.nodeTypes[0] if len(self.nodeTypes) == 1 else "")
        offered = (
            (self.renameEnabled, "rename", f"Rename current {label}"),
            (self.editEnabled, "edit", f"Edit current {label}"),
            (self.addEnabled, "create", f"Create new {label}"),
            (self.removeEnabled, "delete", f"Delete current {label}"),
        )
        return [(action, text) for enabled, action, text in offered if enabled and self._scene is not None]

    def _refresh(self) -> None:
        self._nodeObserver.observe(*self._filter.ofTypes(self._scene))
        self._refreshRows()

    def _refreshRows(self) -> None:
        """Bring the rows to what they should be with the least insertions and removals, so that Qt keeps the choice."""
        nodes = self._filter.matching(self._scene)
        rows = [("none", self.noneDisplay, "")] if self.noneEnabled else []
        rows += [(node.GetID(), node.GetName() or "", node.GetID()) for node in nodes]
        rows += [(action, text, "") for action, text in self._actions()]
        before = set(self._nodeIDs())
        keys = {key for key, _, _ in rows}
        for row in reversed(range(self._model.rowCount())):
            if self._key(row) not in keys:
                self._model.removeRow(row)
        for row, (key, text, identifier) in enumerate(rows):
            if row >= self._model.rowCount() or self._key(row) != key:
                item = QtGui.QStandardItem(text)
                item.setData(identifier, _ID)
                item.setData("" if identifier else key, _ACTION)
                item.setSelectable(bool(identifier) or key == "none")
                self._model.insertRow(row, item)
            else:
                self._model.item(row).setText(text)
        self._combo.defaultText = f"Select a {self.nodeTypeLabel(self.nodeTypes[0] if self.nodeTypes else '')}"
        for node in nodes:
            if node.GetID() not in before:
                self.nodeAdded.emit(node)

    def _key(self, row: int) -> str:
        item = self._model.item(row)
        return item.data(_ID) or item.data(_ACTION)
