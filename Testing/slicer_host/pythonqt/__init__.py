"""The module `qt` as scripted modules see it in Slicer, made of PySide6.

PySide6's own classes are changed in place, for the whole process: import it in tests only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

from . import dialogs
from .attributes import closeQObjects, closeValueClass
from .properties import QtPropertyAttribute, exposeProperties, withSubclasses
from .ui_loader import QUiLoader


def install(dialogsOfHost: dialogs.Dialogs) -> ModuleType:
    """Make `import qt` work; call once per process."""
    qt = ModuleType("qt")
    for module in (QtCore, QtGui, QtWidgets):
        for name in dir(module):
            if (name.startswith("Q") and not name.startswith("Qt")) or name in ("Qt", "Signal", "Slot", "Property"):
                setattr(qt, name, getattr(module, name))
    QtCore.QTimer.singleShot = staticmethod(_singleShot)
    qtClasses = list(withSubclasses(QtCore.QObject))
    for cls in qtClasses:
        exposeProperties(cls)
    _addDecorators()
    closeQObjects(qtClasses)
    for cls in withSubclasses(shiboken6.Object):
        if cls.__module__.startswith("PySide6.") and not issubclass(cls, QtCore.QObject):
            closeValueClass(cls)
    dialogs.install(dialogsOfHost)
    qt.QUiLoader = QUiLoader
    qt.BoolResult = dialogs.BoolResult
    sys.modules["qt"] = qt
    return qt


def _addDecorators() -> None:
    """What PythonQt adds to every object."""
    QtCore.QObject.name = QtPropertyAttribute(
        "name", lambda self: self.objectName, lambda self, value: self.setObjectName(value), None
    )
    QtCore.QObject.className = lambda self: self.metaObject().className()
    QtCore.QObject.delete = lambda self: self.deleteLater()


def _singleShot(milliseconds: int, function: Callable[[], None]) -> None:
    """PySide's own calls `connect` by name, which is PythonQt's here."""
    timer = QtCore.QTimer(QtCore.QCoreApplication.instance())
    timer.setSingleShot(True)
    timer.timeout.connect(function)
    timer.timeout.connect(timer.deleteLater)
    timer.start(milliseconds)
