"""Exceptions that Qt slots and VTK observers would only print."""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

from PySide6 import QtCore

# what the offscreen platform says whenever a window is shown
_NOISE = "This plugin does not support propagateSizeHints()"


class ErrorLog:
    """Collects what reaches sys.excepthook: neither PySide nor VTK lets an exception leave a callback.

    `texts` holds one traceback per exception; a test that expects one takes it out with `take()`.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._previous = sys.excepthook

    def install(self) -> None:
        self._previous = sys.excepthook
        sys.excepthook = self._record

    def remove(self) -> None:
        sys.excepthook = self._previous

    def take(self) -> list[str]:
        """Return the tracebacks so far and forget them."""
        texts, self.texts = self.texts, []
        return texts

    def _record(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.texts.append("".join(traceback.format_exception(kind, error, trace)))
        self._previous(kind, error, trace)


def quietQt() -> None:
    """Let Qt's messages through to stderr, but for one."""
    QtCore.qInstallMessageHandler(_printMessage)


def _printMessage(_kind: QtCore.QtMsgType, _context: QtCore.QMessageLogContext, text: str) -> None:
    if text != _NOISE and sys.stderr is not None:
        print(text, file=sys.stderr)
