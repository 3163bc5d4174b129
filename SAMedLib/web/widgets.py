"""A button, a progress bar and a line of text on the page, in the words of Qt's: SAMedSlicerLib's JobStrip leads them.

Each keeps what it shows in the page's state, under names that start with the widget's own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

_LINK = re.compile(r'\s*<a href="details">.*</a>')


class _Widget:
    def __init__(self, state: Any, name: str) -> None:
        self._state = state
        self._name = name
        self._slots: list[Callable] = []

    def connect(self, signal: str, slot: Callable) -> None:
        self._slots.append(slot)

    def _show(self, **values: Any) -> None:
        self._state.update({f"{self._name}_{key}": value for key, value in values.items()})
        self._state.flush()

    def _shown(self, key: str) -> Any:
        return self._state[f"{self._name}_{key}"]


def _property(key: str) -> property:
    return property(lambda self: self._shown(key), lambda self, value: self._show(**{key: value}))


class Button(_Widget):
    text = _property("text")
    toolTip = _property("tip")
    enabled = _property("enabled")

    def __init__(self, state: Any, name: str, text: str) -> None:
        super().__init__(state, name)
        self._show(text=text, tip="", enabled=True)

    def click(self) -> None:
        """What a click on the page does; a click that comes late, when the button is off, does nothing."""
        if self.enabled:
            for slot in self._slots:
                slot(False)


class ProgressBar(_Widget):
    """Shows a percentage, or that there is nothing to count yet."""

    visible = _property("visible")

    def __init__(self, state: Any, name: str) -> None:
        super().__init__(state, name)
        self._most = 0
        self._show(visible=False, percent=0.0, endless=True)

    def setRange(self, least: int, most: int) -> None:
        self._most = most
        self._show(endless=most == 0)

    @property
    def value(self) -> int:
        return round(self._shown("percent") * self._most / 100)

    @value.setter
    def value(self, value: int) -> None:
        self._show(percent=round(100 * value / self._most, 1) if self._most else 0.0)


class StatusLine(_Widget):
    """Takes the rich text that a label in the application gets; the page shows plain text, and a button for details."""

    def __init__(self, state: Any, name: str) -> None:
        super().__init__(state, name)
        self.text = ""

    @property
    def text(self) -> str:
        return self._shown("text")

    @text.setter
    def text(self, rich: str) -> None:
        plain = html.unescape(_LINK.sub("", rich).replace("<br>", "\n"))
        self._show(text=plain, details=bool(_LINK.search(rich)))

    def open_details(self) -> None:
        for slot in self._slots:
            slot("details")
