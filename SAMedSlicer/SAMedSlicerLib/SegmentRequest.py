"""What the user wants of the model, as a command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SegmentRequest:
    """The choices of the Segment tab that concern the model, not the scene.

    Attributes:
        model: what --model gets, a registry name or a path.
        organs: names of the organs wanted, () for all that the model knows.
        device: auto, cpu, cuda or mps.
    """

    model: str = "tiny"
    organs: tuple[str, ...] = ()
    device: str = "auto"
    keepLargest: bool = True
    testTimeAugmentation: bool = False

    def command(self, source: Path, output: Path, more: Sequence[str] = ()) -> list[str]:
        """The arguments of `samed` that segment `source`, a file or a folder, into `output`."""
        command = ["segment", str(source), "-o", str(output), "--model", self.model]
        if self.device and self.device != "auto":
            command += ["--device", self.device]
        if self.organs:
            command += ["--organs", ",".join(self.organs)]
        if self.keepLargest:
            command.append("--keep-largest")
        if self.testTimeAugmentation:
            command.append("--tta")
        return [*command, *more]
