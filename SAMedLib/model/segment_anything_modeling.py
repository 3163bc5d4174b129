"""The modules of SAM's network, without the rest of the segment_anything package.

The package's own __init__ imports its predictor, and with it torchvision: more than half of the time that a command
needs to start, and a package that has to fit torch's build exactly. The network needs neither.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

_PACKAGE = "segment_anything"


def _modeling() -> ModuleType:
    if _PACKAGE in sys.modules:
        return importlib.import_module(f"{_PACKAGE}.modeling")
    package = importlib.util.find_spec(_PACKAGE)
    if package is None:
        raise ModuleNotFoundError(f"No module named {_PACKAGE!r}", name=_PACKAGE)
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(package)  # its __init__ does not run
    try:
        return importlib.import_module(f"{_PACKAGE}.modeling")
    finally:
        # whoever imports the package later gets it whole, with modules of its own
        for name in [name for name in sys.modules if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]:
            del sys.modules[name]


_module = _modeling()
ImageEncoderViT = _module.ImageEncoderViT
MaskDecoder = _module.MaskDecoder
PromptEncoder = _module.PromptEncoder
TwoWayTransformer = _module.TwoWayTransformer
