"""What the network is: SAMed built from segment_anything.modeling, the networks beside it, LoRA, and their files.

Configurations and metadata are plain data; torch loads with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from SAMedLib.model.config import DecoderConfig, EncoderConfig, SAMedConfig
from SAMedLib.model.metadata import BaseWeights, ModelMetadata

if TYPE_CHECKING:
    from SAMedLib.model.load import DEFAULT_MODEL, load_model
    from SAMedLib.model.network import Network, SAMedOutput
    from SAMedLib.model.samed import SAMed

__all__ = [
    "DEFAULT_MODEL",
    "BaseWeights",
    "DecoderConfig",
    "EncoderConfig",
    "ModelMetadata",
    "Network",
    "SAMed",
    "SAMedConfig",
    "SAMedOutput",
    "load_model",
]

_NEEDS_TORCH = {
    "DEFAULT_MODEL": "load",
    "load_model": "load",
    "Network": "network",
    "SAMed": "samed",
    "SAMedOutput": "network",
}


def __getattr__(name: str):
    if name not in _NEEDS_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_NEEDS_TORCH[name]}"), name)
