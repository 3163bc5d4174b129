"""How a CT of the abdomen is usually displayed."""

from __future__ import annotations

from typing import Any

_WINDOW, _LEVEL = 400, 40  # HU


def showAbdomen(volumeNode: Any) -> None:
    """Give a volume that has a display node the usual grey values, whatever lies in it."""
    display = volumeNode.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(_WINDOW, _LEVEL)
