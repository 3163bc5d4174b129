"""What a model says about itself: the JSON in an adapter file, and the facts that every result should carry."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field

from SAMedLib.errors import SAMedError
from SAMedLib.model.config import SAMedConfig
from SAMedLib.model.networks import NetworkConfig, config_from_json
from SAMedLib.organs import SYNAPSE, LabelSet

FORMAT_VERSION = 1


@dataclass(frozen=True)
class BaseWeights:
    """The SAM weights an adapter was trained on: a registry or file name, and the file's SHA-256."""

    name: str
    sha256: str


@dataclass(frozen=True)
class ModelMetadata:
    """All that is needed to use a model, beside its tensors.

    Attributes:
        window: HU range that becomes [0, 1].
        orientation: directions in which the x, y, z indices of the network's volumes increase, nibabel letters. Raw
            BTCV, and so the published adapters, are believed to be LAS.
        base: None for a model that holds its own encoder.
        provenance: data, epochs, metrics, date, software: whatever the training run recorded.
        demonstration: True for a model that is not meant for patients.
    """

    config: NetworkConfig = field(default_factory=SAMedConfig)
    label_set: LabelSet = SYNAPSE
    window: tuple[float, float] = (-125.0, 275.0)
    orientation: str = "LAS"
    base: BaseWeights | None = None
    provenance: dict = field(default_factory=dict)
    demonstration: bool = False

    def __post_init__(self) -> None:
        if self.label_set.num_classes != self.config.num_classes:
            raise SAMedError(
                f"The model has {self.config.num_classes} classes with the background, but label set "
                f"{self.label_set.name} has {self.label_set.num_classes}; make them agree."
            )
        low, high = self.window
        if not low < high:
            raise SAMedError(f"The HU window [{low}, {high}] is empty; its first bound must be the lower one.")
        if not re.fullmatch("(?=.*[LR])(?=.*[AP])(?=.*[IS])[LRAPIS]{3}", self.orientation):
            raise SAMedError(f"{self.orientation!r} is not an orientation; write three letters, for example LAS.")

    def replace(self, **changes) -> ModelMetadata:
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict:
        return {
            "format": FORMAT_VERSION,
            "config": self.config.to_json(),
            "label_set": self.label_set.to_json(),
            "window": list(self.window),
            "orientation": self.orientation,
            "base": None if self.base is None else dataclasses.asdict(self.base),
            "provenance": self.provenance,
            "demonstration": self.demonstration,
        }

    @classmethod
    def from_json(cls, data: dict) -> ModelMetadata:
        """Raises SAMedError if a field is missing or unreadable, or the format is newer than this software."""
        try:
            version = int(data["format"])
            if version > FORMAT_VERSION:
                raise SAMedError(f"The file has format {version}, newer than this software knows; update SAMedLib.")
            base = data.get("base")
            low, high = data["window"]
            return cls(
                config=config_from_json(data["config"]),
                label_set=LabelSet.from_json(data["label_set"]),
                window=(float(low), float(high)),
                orientation=str(data["orientation"]),
                base=None if base is None else BaseWeights(str(base["name"]), str(base["sha256"])),
                provenance=dict(data.get("provenance", {})),
                demonstration=bool(data.get("demonstration", False)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SAMedError("The model's metadata are damaged; get the file again.") from error


def default_metadata(config: NetworkConfig) -> ModelMetadata:
    """Metadata of a model that has none: the published eight organs if the classes fit, numbered labels otherwise."""
    if config.num_classes == SYNAPSE.num_classes:
        return ModelMetadata(config=config)
    names = [f"label {value}" for value in range(1, config.num_classes)]
    return ModelMetadata(config=config, label_set=LabelSet.from_names("numbered", names))
