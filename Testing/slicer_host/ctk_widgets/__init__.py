"""The module `ctk`: the widgets of the Common Toolkit that panels of scripted modules are made of."""

from __future__ import annotations

import sys
from types import ModuleType


def install() -> ModuleType:
    """Make `import ctk` work; `qt` must be installed before."""
    from . import buttons, collapsible, paths, ranges, sliders, texts

    ctk = ModuleType("ctk")
    for module in (buttons, collapsible, paths, ranges, sliders, texts):
        for name, value in vars(module).items():
            if name.startswith("ctk"):
                setattr(ctk, name, value)
    sys.modules["ctk"] = ctk
    return ctk
