"""qt.QUiLoader that knows the stand-ins."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any, NamedTuple

from PySide6 import QtCore, QtUiTools, QtWidgets

from .stand_in import standIns


class UiConnection(NamedTuple):
    sender: str
    signal: str
    receiver: str
    slot: str


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file; raises where Slicer's loader would put a plain QWidget in place of an unknown class."""

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        for cls in standIns():
            self.registerCustomWidget(cls)

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget | None:
        tree = ElementTree.fromstring(bytes(device.readAll()))
        _requireStandIns(tree)
        connections = _takePointerConnections(tree)
        content = QtCore.QBuffer()
        content.setData(ElementTree.tostring(tree))
        content.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        root = super().load(content, parent)
        if root is not None:
            _requireCreated(root, tree)
            for connection in connections:
                _connect(root, connection)
        return root


def _requireStandIns(tree: ElementTree.Element) -> None:
    known = {cls.__name__ for cls in standIns()}
    unknown = sorted({cls.text or "" for cls in tree.iterfind("customwidgets/customwidget/class")} - known)
    if unknown:
        raise RuntimeError(f"slicer_host has no stand-in for {', '.join(unknown)}")


def _requireCreated(root: QtWidgets.QWidget, tree: ElementTree.Element) -> None:
    """An exception in the constructor of a stand-in leaves a plain QWidget behind."""
    names = {cls.__name__ for cls in standIns()}
    for element in tree.iter("widget"):
        if element.get("class") in names:
            widget = _named(root, element.get("name", ""))
            if type(widget).__name__ != element.get("class"):
                raise RuntimeError(f"{element.get('name')} could not be created as {element.get('class')}")


def _takePointerConnections(tree: ElementTree.Element) -> list[UiConnection]:
    """Remove the connections whose argument is a VTK object: moc knows no such type of a Python class."""
    taken = []
    for parent in tree.iterfind("connections"):
        for element in list(parent):
            fields = UiConnection(*(element.findtext(name, "") for name in UiConnection._fields))
            if "vtk" in fields.signal:
                parent.remove(element)
                taken.append(fields)
    return taken


def _connect(root: QtWidgets.QWidget, connection: UiConnection) -> None:
    _named(root, connection.sender).connect(connection.signal, _named(root, connection.receiver), connection.slot)


def _named(root: QtWidgets.QWidget, name: str) -> Any:
    found = root if root.objectName == name else root.findChild(QtCore.QObject, name)
    if found is None:
        raise RuntimeError(f"the .ui mentions {name!r}, which it does not hold")
    return found
