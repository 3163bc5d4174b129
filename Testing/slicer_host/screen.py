"""Looking at widgets, and letting time pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets


def processEvents(until: Callable[[], Any] = lambda: True, timeout_s: float = 5.0) -> None:
    """Run the event loop until `until()` is true.

    Raises:
        TimeoutError: if that takes longer than `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        QtWidgets.QApplication.processEvents()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
        if until():
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"still waiting after {timeout_s:g} s")
        time.sleep(0.005)


def screenshot(widget: Any, path: str | Path, width: int | None = None) -> Path:
    """Save a picture of a widget, or of a module's panel, as wide as given and as high as it wants to be."""
    frame = widget if isinstance(widget, QtWidgets.QWidget) else widget.parent
    frame.show()
    processEvents()
    height = frame.sizeHint.height()
    if width is not None and frame.layout() is not None and frame.layout().hasHeightForWidth():
        height = frame.layout().totalHeightForWidth(width)
    frame.resize(width or frame.sizeHint.width(), max(height, frame.minimumSizeHint.height()))
    processEvents()
    path = Path(path)
    if not frame.grab().save(str(path)):
        raise OSError(f"{path} could not be written")
    return path
