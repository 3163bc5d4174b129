"""From a configuration to its network."""

from __future__ import annotations

from SAMedLib.model.config import SAMedConfig
from SAMedLib.model.monai_network import MonaiNetwork
from SAMedLib.model.network import Network
from SAMedLib.model.networks import NetworkConfig
from SAMedLib.model.samed import SAMed


def build_network(config: NetworkConfig, *, empty_encoder: bool = False) -> Network:
    """The network, freshly initialised from torch's global random numbers.

    Args:
        empty_encoder: see SAMed; MONAI's networks are initialised all the same.

    Raises:
        SAMedError: if it comes from MONAI and that is not installed.
    """
    return SAMed(config, empty_encoder=empty_encoder) if isinstance(config, SAMedConfig) else MonaiNetwork(config)
