"""One frame of a sequence on its way through the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SAMedSlicerLib.InputVolume import checkVolume, writeVolume

if TYPE_CHECKING:
    import numpy as np

    from SAMedLib.organs import LabelSet
    from SAMedSlicerLib.SequenceFrames import SequenceFrames


class FrameCase:
    """One frame; the same methods as VolumeCase."""

    def __init__(self, frames: SequenceFrames, number: int, index: str, title: str) -> None:
        self._frames = frames
        self._number = number
        self._index = index
        self._title = title

    @property
    def title(self) -> str:
        return self._title

    @property
    def volumeNode(self) -> Any:
        """What must stay in the scene: the sequence."""
        return self._frames.node

    def check(self) -> list[str]:
        return checkVolume(self._frames.frame(self._index))

    def export(self, path: Path) -> None:
        writeVolume(self._frames.frame(self._index), path)

    def deliver(self, labels: np.ndarray, labelSet: LabelSet, modelInfo: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """The frame's segmentation is in a sequence; there is no node of its own in the scene."""
        self._frames.put(self._index, labels, labelSet, modelInfo)
        return None, []
