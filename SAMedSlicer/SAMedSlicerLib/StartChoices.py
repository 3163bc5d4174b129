"""What a training can start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.organs import LabelSet, matching_classes
from SAMedLib.weights.acquire import human_size

if TYPE_CHECKING:
    from SAMedSlicerLib.ModelCatalog import ModelCatalog
    from SAMedSlicerLib.ModelChoice import ModelChoice

_PRESENT = ("ready", "unchecked")


@dataclass(frozen=True)
class StartChoice:
    """One thing to start from.

    Attributes:
        key: what tells it from others.
        title: for the list.
        meaning: one line: what it is good for.
        arguments: for `samed train`.
        downloads: what `samed weights download` has to get first.
        missing: a sentence, if files are not here and cannot be downloaded either.
        labels: names that it knows already; empty for a start that knows no organ.
    """

    key: str
    title: str
    meaning: str
    arguments: tuple[str, ...]
    downloads: tuple[str, ...] = ()
    downloadBytes: int = 0
    missing: str = ""
    labels: tuple[str, ...] = ()

    def fitTo(self, labels: Sequence[str]) -> str:
        """What starting from this means for cases with these labels; empty where there is nothing to say."""
        if not labels or not self.labels:
            return ""
        own, wanted = LabelSet.from_names("start", self.labels), LabelSet.from_names("cases", labels)
        known = [name for name in labels if own.find(name)]
        if len(known) == len(labels):
            return _("It knows the labels of your cases already.")
        if known:
            new = [name for name in labels if name not in known]
            return _("It knows {known} already; {new} is learned from scratch.").format(
                known=", ".join(known), new=", ".join(new)
            )
        if None not in matching_classes(own, wanted):
            return _("Your cases have other labels: its outputs are learned anew from where they are.")
        return _("Your cases have other labels: it keeps what it knows of images, and learns the labels from scratch.")


def startChoices(catalog: ModelCatalog) -> list[StartChoice]:
    """Models first, then the SAM bases."""
    return [*(_ofModel(choice) for choice in catalog.choices()), *_bases()]


def _ofModel(choice: ModelChoice) -> StartChoice:
    meanings = {
        "embedded": _("Small and quick, on any computer. Made from computed phantoms, so adapt it to CT first."),
        "published": _("The published SAMed, trained on 18 CT scans. A graphics card is needed to train it."),
        "own": _("A model from your models folder: training goes on from it."),
        "run": _("A model that you trained: training goes on from it, for example with more cases."),
    }
    labels = tuple(choice.labels.names) if choice.labels else tuple(choice.organs)
    return StartChoice(
        key=choice.key,
        title=choice.title,
        meaning=meanings.get(choice.kind, ""),
        arguments=("--start", choice.key),
        downloads=choice.downloads,
        downloadBytes=choice.download_bytes,
        missing="" if choice.ready or choice.downloads else choice.details.splitlines()[-1] + ".",
        labels=labels,
    )


def _bases() -> list[StartChoice]:
    from SAMedLib.weights.store import default_store

    try:
        files = [file for file in default_store().cached_files() if file.entry and file.entry.kind == "base"]
    except (SAMedError, OSError):  # a registry of the user's own that is damaged: models say so already
        return []
    sizes = {"vit_b": _("base"), "vit_l": _("large"), "vit_h": _("huge")}
    return [
        StartChoice(
            key=f"base:{file.name}",
            title=_("SAM {size} (knows no organ yet)").format(size=sizes[file.name]),
            meaning=_("SAM's image model as Meta AI published it. For many cases and a graphics card; takes longest."),
            arguments=("--model-size", file.name),
            downloads=() if file.state in _PRESENT else (file.name,),
            downloadBytes=(file.entry.bytes or 0) - (file.size if file.state == "partial" else 0),
        )
        for file in files
        if file.name in sizes
    ]


def downloadQuestion(choice: StartChoice) -> str:
    return _("To start from this model, {size} have to be downloaded first. Download them now?").format(
        size=human_size(choice.downloadBytes)
    )
