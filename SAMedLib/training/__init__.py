"""Training: the published loss and schedule, the loop, and the folder that a run leaves behind.

Reading a run folder needs no torch, so the parts that do load when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "samed_loss": "losses",
    "learning_rate": "schedule",
    "RunFolder": "run_folder",
    "TrainingOptions": "options",
    "resume": "job",
    "train": "job",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
