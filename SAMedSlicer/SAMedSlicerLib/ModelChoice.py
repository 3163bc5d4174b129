"""A model to choose from a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from SAMedLib.organs import LabelSet


@dataclass(frozen=True)
class ModelChoice:
    """One model.

    Attributes:
        key: for --model.
        title: for a list, in one line.
        organs: names of its labels.
        labels: what its label values mean; None if the file has to be downloaded first to know.
        ready: all of its files are here.
        download_bytes: what is missing of its files, and can be downloaded.
        details: lines for people: organs, base, size, when and on what it was trained, validation Dice.
        demonstration: not meant for patients.
        kind: "embedded", "published", "own" or "run".
        downloads: names for `samed weights download`, empty if nothing can be downloaded.
    """

    key: str
    title: str
    organs: tuple[str, ...]
    labels: LabelSet | None
    ready: bool
    download_bytes: int
    details: str
    demonstration: bool
    kind: str
    downloads: tuple[str, ...] = ()
