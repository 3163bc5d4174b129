"""A training that is about to start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from SAMedSlicerLib.StartChoices import StartChoice


@dataclass(frozen=True)
class TrainingPlan:
    """What `samed train` will be told.

    Attributes:
        dataset: the training set's folder.
        output: the run folder, new.
        start: what it goes on from.
        arguments: the settings, with those of the start.
    """

    dataset: Path
    output: Path
    start: StartChoice
    arguments: tuple[str, ...]

    def command(self, check: bool = False) -> list[str]:
        return [
            "train",
            *(["--check"] if check else []),
            *("--data", str(self.dataset.absolute())),
            *("--output", str(self.output.absolute())),
            *self.arguments,
        ]

    @property
    def download(self) -> list[str]:
        """The command that gets what is missing for the start, empty if nothing is."""
        return ["weights", "download", *self.start.downloads] if self.start.downloads else []


def resumeCommand(run: Path) -> list[str]:
    """Goes on with a training exactly where it was saved."""
    return ["train", "--output", str(run.absolute()), "--resume"]
