"""Is the extra `web` installed, and Slicer's classes ready to be used without the application?"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

from SAMedLib.errors import SAMedError

_NEEDED = ("trame_slicer", "slicer", "LayerDMLib")
_INSTALL = 'install it with: pip install "samed[web]"'


def check_extra() -> None:
    """Raises SAMedError, which says what to install, if the extra is not there."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise SAMedError(f"The workbench in the browser is an extra that is not installed; {_INSTALL}")


def prepare_slicer_classes() -> None:
    """Make SAMedSlicerLib importable: it asks for translations, which only the application has, and stay English here.

    Raises:
        SAMedError: if the module's classes are not installed.
    """
    import slicer

    if importlib.util.find_spec("slicer.i18n") is None:
        words = types.ModuleType("slicer.i18n")
        words.tr = lambda text, context=None: text
        sys.modules["slicer.i18n"] = slicer.i18n = words
    if importlib.util.find_spec("SAMedSlicerLib") is None:  # a source checkout: it lies with the module
        sys.path.append(str(Path(__file__).resolve().parents[2] / "SAMedSlicer"))
        importlib.invalidate_caches()
        if importlib.util.find_spec("SAMedSlicerLib") is None:
            raise SAMedError(f"The classes of the 3D Slicer module are missing; {_INSTALL}")
