"""A stand-in for the 3D Slicer application: PySide6 in place of PythonQt, real MRML classes from slicer-core.

See README.md beside this file.
"""

from __future__ import annotations

import importlib
from typing import Any

from .unavailable import reasonNotToBoot

# where each name lives; imported when asked for, since PySide6 and slicer-core may be absent
_HOMES = {
    "App": "host",
    "boot": "host",
    "closeScene": "host",
    "loadModule": "modules",
    "reloadModule": "modules",
    "unloadModule": "modules",
    "unloadScriptedModules": "modules",
    "processEvents": "screen",
    "screenshot": "screen",
    "openViews": "views",
    "reasonNotToRender": "views",
}

__all__ = ["reasonNotToBoot", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
