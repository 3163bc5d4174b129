"""What a run gives for a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from SAMedSlicerLib.OrganSize import OrganSize


@dataclass(frozen=True)
class SegmentResult:
    """What became of one scan.

    Attributes:
        volumeNode, segmentationNode: None where there is none, or none any more.
    """

    title: str
    sizes: list[OrganSize]
    volumeNode: Any = None
    segmentationNode: Any = None
