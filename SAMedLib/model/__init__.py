"""What the network is: SAMed built from segment_anything.modeling, its LoRA, and its files."""

from SAMedLib.model.config import DecoderConfig, EncoderConfig, SAMedConfig
from SAMedLib.model.load import DEFAULT_MODEL, load_model
from SAMedLib.model.metadata import BaseWeights, ModelMetadata
from SAMedLib.model.samed import SAMed, SAMedOutput

__all__ = [
    "DEFAULT_MODEL",
    "BaseWeights",
    "DecoderConfig",
    "EncoderConfig",
    "ModelMetadata",
    "SAMed",
    "SAMedConfig",
    "SAMedOutput",
    "load_model",
]
