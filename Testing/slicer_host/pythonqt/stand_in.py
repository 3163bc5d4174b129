"""What Python classes need to stand in for C++ widget classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from PySide6 import QtCore

_standIns: list[type] = []


def standIn(*namespaces: Any) -> Callable[[type], type]:
    """Class decorator: the class is closed like a C++ class, known to qt.QUiLoader, and an attribute of each namespace.

    Its own state are the attributes that the class body annotates; its pointer-typed signals are listed in
    `cppSignals` as {"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged"}.
    """

    def register(cls: type) -> type:
        _standIns.append(cls)
        for namespace in namespaces:
            setattr(namespace, cls.__name__, cls)
        return cls

    return register


def standIns() -> list[type]:
    return list(_standIns)


def isClosed(cls: type) -> bool:
    """Whether PythonQt would refuse new attributes on objects of exactly this class."""
    return cls in _standIns or cls.__module__.split(".")[0] in ("PySide6", "Shiboken")


def declares(cls: type, name: str) -> bool:
    """Whether a stand-in keeps state under this name."""
    return any(name in inspect.get_annotations(base) for base in cls.__mro__)


def storedProperty(name: str, kind: Any, default: Any, changed: Callable[[Any], None] | None = None) -> QtCore.Property:
    """A Qt property that only remembers its value and then calls `changed(widget)`.

    A list of strings reads as a tuple, as PythonQt converts QStringList.
    """
    key = "_property_" + name

    def read(self: Any) -> Any:
        value = self.__dict__.get(key, default)
        return tuple(value) if kind == "QStringList" else value

    def write(self: Any, value: Any) -> None:
        if read(self) != value:
            self.__dict__[key] = value
            if changed is not None:
                changed(self)

    return QtCore.Property(kind, read, write)
