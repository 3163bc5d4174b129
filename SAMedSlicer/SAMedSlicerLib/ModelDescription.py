"""What one model says about itself, for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.model.config import SAMedConfig
from SAMedLib.model.metadata import ModelMetadata, default_metadata
from SAMedLib.organs import LabelSet
from SAMedLib.weights.acquire import human_size

if TYPE_CHECKING:
    from SAMedLib.weights.inspection import Inspection
    from SAMedLib.weights.registry import ModelEntry
    from SAMedLib.weights.store import CachedFile, Store

_SAM = {"vit_b": "SAM ViT-B", "vit_l": "SAM ViT-L", "vit_h": "SAM ViT-H"}


@dataclass(frozen=True)
class Need:
    """A SAM base that a model builds on: its registry name, None if the registry does not know it, and its file."""

    name: str | None
    filename: str


@dataclass(frozen=True)
class ModelDescription:
    """Attributes:
    labels: None where only the file tells, and it is not here.
    bytes: of the adapter file.
    network: its name for people.
    parameters: of the whole network, where the file holds all of it.
    need: the base, None for a model that is complete.
    encoder: "vit_b", "vit_l", "vit_h", or None for other networks.
    trained: on what, in words, for files that say nothing themselves.
    provenance: what the training recorded.
    """

    labels: LabelSet | None
    bytes: int
    demonstration: bool = False
    need: Need | None = None
    encoder: str | None = None
    network: str = SAMedConfig.title
    parameters: int | None = None
    trained: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def ofFile(cls, store: Store, path: Path) -> ModelDescription:
        """Read the head of an adapter file.

        Raises:
            SAMedError: if it is damaged, no adapter, or of a kind that this version does not know.
            OSError: if it cannot be read.
        """
        found = store.inspect_adapter(path)
        if not found.metadata:
            return cls._ofPublishedLayout(store, path, found)
        try:
            metadata = ModelMetadata.from_json(dict(found.metadata))
        except SAMedError as error:
            raise SAMedError(f"{path}: {error}") from error
        base = metadata.base
        need = None if base is None or found.complete else Need(store.base_of(found), base.name)
        return cls(
            labels=metadata.label_set,
            bytes=path.stat().st_size,
            demonstration=metadata.demonstration,
            need=need,
            encoder=found.encoder,
            network=metadata.config.title,
            parameters=None if need else found.parameters,
            provenance=metadata.provenance,
        )

    @classmethod
    def _ofPublishedLayout(cls, store: Store, path: Path, found: Inspection) -> ModelDescription:
        name = store.base_of(found)
        if name is None or found.num_classes is None:
            raise SAMedError(f"{path} says neither what it is built on nor what its labels are; train it again.")
        return cls(
            labels=default_metadata(SAMedConfig(num_classes=found.num_classes)).label_set,
            bytes=path.stat().st_size,
            need=Need(name, store.registry.files[name].filename),
            encoder=found.encoder,
            trained=_("with the published code; the file does not say on what"),
        )

    @classmethod
    def ofPublished(
        cls, entry: ModelEntry, adapter: CachedFile, base: CachedFile | None, labels: LabelSet | None
    ) -> ModelDescription:
        """A model of the registry, whose file may not be here."""
        return cls(
            labels=labels,
            bytes=(adapter.entry.bytes if adapter.entry else None) or adapter.size,
            demonstration=entry.demonstration,
            need=Need(base.name, base.path.name) if base else None,
            encoder=base.name if base else None,
            trained=entry.trained,
        )

    @property
    def date(self) -> str:
        """The day on which it was saved, "" if it does not say."""
        try:
            return datetime.fromisoformat(str(self.provenance["date"])).astimezone().date().isoformat()
        except (KeyError, ValueError):
            return ""

    @property
    def steps(self) -> int:
        """Steps of the training when it was saved."""
        steps = self.provenance.get("steps")
        return steps if isinstance(steps, int) else 0

    @property
    def dice(self) -> float | None:
        """The mean validation Dice, None if nothing was validated."""
        return _number(_part(self.provenance, "validation").get("mean_dice"))

    def text(self) -> str:
        """A few lines."""
        lines = [
            self._notice(),
            _("Organs: {names}").format(names=", ".join(self.labels.names)) if self.labels else "",
            self._builtOn(),
            _("Size: {size}").format(size=human_size(self.bytes)) if self.bytes else "",
            self._training(),
            self._validation(),
        ]
        return "\n".join(filter(None, lines))

    def _notice(self) -> str:
        if not self.demonstration:
            return ""
        cases = _cases(self.provenance, "training")
        if cases and all(str(case).startswith("phantom") for case in cases):
            return _("Demonstration model trained on computed phantoms, not for patients")
        return _("Demonstration model, not for patients")

    def _builtOn(self) -> str:
        if self.need:
            name = _SAM.get(self.encoder or "", self.need.filename)
            return _("Built on: {base} ({file})").format(base=name, file=self.need.filename)
        if self.parameters:
            return _("Built on: no other model; {network} with {count:.1f} million parameters").format(
                network=self.network, count=self.parameters / 1e6
            )
        return ""

    def _training(self) -> str:
        if self.trained:
            return _("Trained: {how}").format(how=self.trained)
        cases, epochs = len(_cases(self.provenance, "training")), self.provenance.get("epochs")
        start = _part(self.provenance, "training").get("start")
        facts = [
            self.date,
            _("on one case") if cases == 1 else _("on {count} cases").format(count=cases) if cases else "",
            _("one epoch") if epochs == 1 else _("{count} epochs").format(count=epochs) if epochs else "",
            _("starting from {model}").format(model=start) if start else "",
        ]
        return _("Trained: {facts}").format(facts=", ".join(filter(None, facts))) if any(facts) else ""

    def _validation(self) -> str:
        """Dice of each organ, on how many cases."""
        if self.dice is None or self.labels is None:
            return ""
        measured = _part(_part(self.provenance, "validation"), "dice")
        organs = {name: dice for name in self.labels.names if (dice := _number(measured.get(name))) is not None}
        cases = len(_cases(self.provenance, "validation"))
        where = _(" on one case") if cases == 1 else _(" on {count} cases").format(count=cases) if cases else ""
        values = [_("mean {dice:.2f}").format(dice=self.dice), *(f"{name} {dice:.2f}" for name, dice in organs.items())]
        return _("Validation Dice{where}: {values}").format(where=where, values=", ".join(values))


def _part(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of what a training recorded; files of others may hold anything there."""
    part = mapping.get(name)
    return part if isinstance(part, Mapping) else {}


def _cases(provenance: Mapping[str, Any], use: str) -> Sequence[Any]:
    cases = _part(_part(provenance, "data"), use).get("cases")
    return cases if isinstance(cases, list) else []


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
