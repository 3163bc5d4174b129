"""VTK observers that end with the widget they serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import shiboken6
from PySide6 import QtWidgets


class Observer:
    """Calls `react` on events of one VTK object at a time, as long as `widget` exists."""

    def __init__(self, widget: QtWidgets.QWidget, events: Iterable[Any], react: Callable[[], None]) -> None:
        self._widget = widget
        self._events = tuple(events)
        self._react = react
        self._observed: Any = None
        self._tags: list[int] = []
        widget.destroyed.connect(lambda *_: self.observe(None))

    def observe(self, vtkObject: Any) -> None:
        if self._observed is not None:
            for tag in self._tags:
                self._observed.RemoveObserver(tag)
        self._observed = vtkObject
        self._tags = (
            [] if vtkObject is None else [vtkObject.AddObserver(event, self._onEvent) for event in self._events]
        )

    def _onEvent(self, *_: Any) -> None:
        if shiboken6.isValid(self._widget):
            self._react()
