"""Attribute access as in PythonQt: no new attributes on C++ objects, dynamic properties readable by name."""

from __future__ import annotations

from collections.abc import Iterable
from types import MethodType
from typing import Any

from PySide6 import QtCore

from . import signals
from .stand_in import declares, isClosed

_plainGet = QtCore.QObject.__getattribute__
_BY_SIGNATURE = {"connect": signals.connect, "disconnect": signals.disconnect}


def closeQObjects(qtClasses: Iterable[type]) -> None:
    """Make objects of these classes, all of Qt's own, behave as their PythonQt wrappers."""
    QtCore.QObject.__getattribute__ = _get
    for qtClass in qtClasses:  # each has a __setattr__ of its own
        qtClass.__setattr__ = _set


def closeValueClass(qtClass: type) -> None:
    """The same for a class such as QTableWidgetItem, which has neither signals nor properties."""
    plainSet = qtClass.__setattr__

    def setOnValue(self: Any, name: str, value: Any) -> None:
        if isClosed(type(self)) and not hasattr(type(_classMember(type(self), name)), "__set__"):
            raise _refusal(self, name)
        plainSet(self, name, value)

    qtClass.__setattr__ = setOnValue


def _get(self: Any, name: str) -> Any:
    # shiboken answers these two itself before it looks at the class
    if name in _BY_SIGNATURE:
        return MethodType(_BY_SIGNATURE[name], self)
    try:
        return _plainGet(self, name)
    except AttributeError:
        if not name.startswith("_") and name in _dynamicProperties(self):
            return self.property(name)
        raise


def _set(self: Any, name: str, value: Any) -> None:
    member = _classMember(type(self), name)
    if isinstance(member, QtCore.Property):
        member.fset(self, value)
    elif hasattr(type(member), "__set__"):
        member.__set__(self, value)
    elif not isClosed(type(self)) or declares(type(self), name) or _isOfPySide(name, value):
        self.__dict__[name] = value
    elif name in _dynamicProperties(self):
        self.setProperty(name, value)
    else:
        raise _refusal(self, name)


def _refusal(self: Any, name: str) -> AttributeError:
    return AttributeError(f"{type(self).__name__} has no attribute {name!r}, and PythonQt lets nobody add one")


def _isOfPySide(name: str, value: Any) -> bool:
    """PySide keeps its meta-object and bound signals in the object."""
    return name.startswith("__") or isinstance(value, QtCore.SignalInstance)


def _classMember(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def _dynamicProperties(self: QtCore.QObject) -> list[str]:
    return [bytes(name).decode() for name in _plainGet(self, "dynamicPropertyNames")()]
