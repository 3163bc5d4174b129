"""The networks that there are, by the name that files and options have for them."""

from __future__ import annotations

from typing import ClassVar, Protocol

from SAMedLib.errors import SAMedError
from SAMedLib.model.config import SAMedConfig
from SAMedLib.model.monai_config import AttentionUNetConfig, SwinUNETRConfig, UNetConfig, UNETRConfig


class NetworkConfig(Protocol):
    """What a network is, as plain data.

    Attributes:
        network: its name in files and options.
        title: its name for people.
        image_size: side of the square network input.
        slice_size: slices are brought to this square size first, then to image_size.
        num_classes: background included.
        logits_size: side of the logits that the loss is computed on.
    """

    network: ClassVar[str]
    title: ClassVar[str]
    image_size: int
    slice_size: int
    num_classes: int

    @property
    def logits_size(self) -> int: ...

    def to_json(self) -> dict: ...


_KINDS = (SAMedConfig, UNetConfig, AttentionUNetConfig, SwinUNETRConfig, UNETRConfig)
NETWORKS = {kind.network: kind for kind in _KINDS}


def config_from_json(data: dict) -> NetworkConfig:
    """A network's description; files from before there was a choice have no "network": they describe a SAMed.

    Raises:
        SAMedError: for a network or fields that this version does not know, or values that do not fit.
    """
    try:
        values = dict(data)
        name = values.pop("network", SAMedConfig.network)
        known = name in NETWORKS
    except (TypeError, ValueError) as error:
        raise SAMedError("The model description holds no named values; correct it, or get the file again.") from error
    if not known:
        raise SAMedError(
            f"The model description is of a network called {name!r}, which this version does not know (it knows "
            f"{', '.join(NETWORKS)}); update SAMedLib."
        )
    return NETWORKS[name].from_json(values)
