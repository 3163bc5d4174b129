"""VTK observers that end with the widget they serve."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import shiboken6
from PySide6 import QtWidgets


class Observer:
    """Calls `react` on events of some VTK objects, as long as `widget` exists."""

    def __init__(self, widget: QtWidgets.QWidget, events: Iterable[Any], react: Callable[[], None]) -> None:
        self._widget = widget
        self._events = tuple(events)
        self._react = react
        self._tags: list[tuple[Any, int]] = []
        widget.destroyed.connect(lambda *_: self.observe())

    def observe(self, *vtkObjects: Any) -> None:
        """Observe these objects instead of those observed so far; None stands for no object."""
        for vtkObject, tag in self._tags:
            vtkObject.RemoveObserver(tag)
        self._tags = [
            (vtkObject, vtkObject.AddObserver(event, self._onEvent))
            for vtkObject in vtkObjects
            if vtkObject is not None
            for event in self._events
        ]

    def _onEvent(self, *_: Any) -> None:
        if shiboken6.isValid(self._widget):
            self._react()
