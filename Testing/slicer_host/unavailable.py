"""Whether the host can run in this Python."""

from __future__ import annotations

import importlib
import os
import sys


def reasonNotToBoot() -> str | None:
    """One sentence saying what is missing, None if nothing is."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for module, package in (("PySide6.QtWidgets", "PySide6-Essentials"), ("slicer", "slicer-core")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            return f"{package} cannot be imported ({error}); pip install {package}"
    import PySide6
    import slicer

    if PySide6.__version_info__[:2] == (6, 12) and sys.version_info < (3, 12):
        # every void method takes a reference of None away, until the interpreter ends fatally
        return "PySide6 6.12 miscounts references before Python 3.12; pip install 'PySide6-Essentials<6.12'"
    if not hasattr(slicer, "vtkMRMLScene"):
        return "the installed package `slicer` holds no MRML classes; pip install slicer-core"
    return None
