"""How good a segmentation is: the published measures and those that a clinician asks for beside them."""

from SAMedLib.evaluation.metrics import (
    assd,
    dice,
    hd,
    hd95,
    nsd,
    precision,
    sensitivity,
    volume_difference,
)
from SAMedLib.evaluation.protocols import OrganScore, evaluate_case
from SAMedLib.evaluation.surface import EmptyMaskError

__all__ = [
    "EmptyMaskError",
    "OrganScore",
    "assd",
    "dice",
    "evaluate_case",
    "hd",
    "hd95",
    "nsd",
    "precision",
    "sensitivity",
    "volume_difference",
]
