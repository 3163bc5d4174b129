"""Signals connected by their C++ signature: `button.connect("clicked(bool)", function)`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import shiboken6
from PySide6 import QtCore

_SIGNATURE = re.compile(r"^(\w+)\((.*)\)$")


class Connection(NamedTuple):
    signature: str
    function: Callable[..., Any]
    signal: Any
    slot: Callable[..., Any]


# by C++ address: the Python wrapper of a widget may go and come back while the widget lives on
_connections: dict[int, list[Connection]] = {}


def connect(sender: QtCore.QObject, signature: str, receiver: Any, slotName: str | None = None) -> bool:
    """As PythonQt: the function gets as many of the signal's arguments as it takes.

    Raises:
        ValueError: if the sender has no signal of exactly this signature.
    """
    function = getattr(receiver, _parse(slotName)[0]) if slotName is not None else receiver
    if not callable(function):
        raise TypeError(f"connect({signature!r}): {function!r} cannot be called")
    signal, count = findSignal(sender, signature)
    taken = min(count, _parameterCount(function))

    def slot(*values: Any) -> None:
        function(*values[:taken])

    signal.connect(slot)
    _remember(sender, Connection(_normalized(signature), function, signal, slot))
    return True


def disconnect(sender: QtCore.QObject, signature: str, function: Any = None) -> bool:
    """Remove the connections of this signal to `function` (to anything if None); False if there was none."""
    known = _connections.get(_address(sender), [])
    wanted = [c for c in known if c.signature == _normalized(signature) and function in (None, c.function)]
    for connection in wanted:
        connection.signal.disconnect(connection.slot)
        known.remove(connection)
    return bool(wanted)


def findSignal(sender: QtCore.QObject, signature: str) -> tuple[Any, int]:
    """The bound signal and the number of its arguments."""
    signature = _normalized(signature)
    name, arguments = _parse(signature)
    for base in type(sender).__mro__:
        attribute = base.__dict__.get("cppSignals", {}).get(signature)
        if attribute is not None:
            return getattr(sender, attribute), len(arguments)
    if sender.metaObject().indexOfSignal(signature) < 0:
        raise ValueError(f"{type(sender).__name__} has no signal {signature!r}")
    overloads = getattr(sender, name)
    return overloads[tuple(arguments) if len(arguments) != 1 else arguments[0]], len(arguments)


def _normalized(signature: str) -> str:
    return QtCore.QMetaObject.normalizedSignature(signature).toStdString()


def _parse(signature: str) -> tuple[str, list[str]]:
    match = _SIGNATURE.match(signature.strip())
    if match is None:
        raise ValueError(f"{signature!r} is no signature; write for example 'clicked(bool)'")
    return match.group(1), [argument for argument in match.group(2).split(",") if argument]


def _parameterCount(function: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a C function that does not tell
        return 99
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def _address(sender: QtCore.QObject) -> int:
    return shiboken6.getCppPointer(sender)[0]


def _remember(sender: QtCore.QObject, connection: Connection) -> None:
    address = _address(sender)
    if address not in _connections:
        sender.destroyed.connect(lambda *_: _connections.pop(address, None))
    _connections.setdefault(address, []).append(connection)
