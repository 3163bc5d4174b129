"""Qt properties as Python attributes: `button.text`, not `button.text()`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from PySide6 import QtCore


class QtPropertyAttribute:
    """One Qt property of one class. On the class itself the name keeps its C++ meaning (qt.QTimer.singleShot)."""

    def __init__(self, name: str, getter: Any, setter: Any, classMember: Any) -> None:
        self.name = name
        self._getter = getter
        self._setter = setter
        self._classMember = classMember
        self._reading = False

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self if self._classMember is None else self._classMember
        # A getter such as sizeHint is virtual in C++, which looks for a Python override under this very name.
        if self._reading:
            return None
        self._reading = True
        try:
            return self._getter(instance)
        finally:
            self._reading = False

    def __set__(self, instance: Any, value: Any) -> None:
        self._setter(instance, value)


def exposeProperties(qtClass: type) -> None:
    """Turn the properties that `qtClass` declares, or whose getter it overrides, into attributes."""
    description = qtClass.staticMetaObject
    for index in range(description.propertyCount()):
        prop = description.property(index)
        if index >= description.propertyOffset() or prop.name() in qtClass.__dict__:
            setattr(qtClass, prop.name(), _attribute(qtClass, prop))


def withSubclasses(qtClass: type) -> Iterator[type]:
    """`qtClass` and all that is derived from it, base classes first, each once."""
    pending, seen = [qtClass], {qtClass}
    while pending:
        current = pending.pop(0)
        yield current
        new = [derived for derived in current.__subclasses__() if derived not in seen]
        seen.update(new)
        pending.extend(new)


def _attribute(qtClass: type, prop: QtCore.QMetaProperty) -> QtPropertyAttribute:
    name = prop.name()
    capitalised = name[0].upper() + name[1:]
    member = getattr(qtClass, name, None)
    getter = _accessor(qtClass, "is" + capitalised) or _accessor(qtClass, name)
    setter = _accessor(qtClass, "set" + capitalised)
    if getter is None:
        getter = lambda instance: instance.property(name)  # noqa: E731
    if not prop.isWritable():
        setter = _readOnly(qtClass, name)
    elif setter is None:
        setter = lambda instance, value: instance.setProperty(name, value)  # noqa: E731
    return QtPropertyAttribute(name, getter, setter, member if callable(member) else None)


def _accessor(qtClass: type, name: str) -> Any:
    found = inspect.getattr_static(qtClass, name, None)
    if isinstance(found, QtPropertyAttribute):
        return found._getter
    if isinstance(found, staticmethod):
        function = found.__func__
        return lambda _instance, *values: function(*values)
    return found if callable(found) else None


def _readOnly(qtClass: type, name: str) -> Any:
    def refuse(_instance: Any, _value: Any) -> None:
        raise AttributeError(f"property {name!r} of {qtClass.__name__} is read-only")

    return refuse
