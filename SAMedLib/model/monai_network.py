"""The networks that come from MONAI: built, frozen and adapted as their configuration says.

MONAI is an optional dependency and slow to import, so this happens when the first of its networks is built.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from SAMedLib.errors import SAMedError
from SAMedLib.model.classes import in_order
from SAMedLib.model.lora import add_attention_lora
from SAMedLib.model.metadata import ModelMetadata
from SAMedLib.model.monai_config import (
    LEVELS,
    AttentionUNetConfig,
    MonaiConfig,
    SwinUNETRConfig,
    TransformerConfig,
    UNetConfig,
    UNETRConfig,
)
from SAMedLib.model.network import Network, SAMedOutput
from SAMedLib.model.tensor_files import assign, shape_text, write_tensors
from SAMedLib.organs import Classes

_FACTOR = re.compile(r"\.[ab]\.[qkvo]")  # the end of a LoRA tensor's name


class MonaiNetwork(Network):
    """One of MONAI's networks; its parameters are in `network`, under MONAI's names. See Network for the rest."""

    config: MonaiConfig
    of_classes: ClassVar[str] = "the weights of the last layer"

    def __init__(self, config: MonaiConfig) -> None:
        super().__init__(config)
        check_monai(config)
        parts = _BUILDERS[type(config)](config)
        self.network = parts.network
        self._head = f"network.{parts.head}."
        if isinstance(config, TransformerConfig):
            self._freeze(config, f"network.{parts.encoder}.")
            for attention in parts.attentions:
                add_attention_lora(attention, config.lora_targets, config.rank, parts.output)

    def _freeze(self, config: TransformerConfig, encoder: str) -> None:
        for name, parameter in self.named_parameters():
            tuning = config.encoder_tuning if name.startswith(encoder) else config.decoder_tuning
            parameter.requires_grad_(tuning == "full" or name.startswith(self._head))

    def forward(self, images: Tensor) -> SAMedOutput:
        logits = self.low_res_logits(images)
        return SAMedOutput(logits, self.masks(logits), None)

    def low_res_logits(self, images: Tensor) -> Tensor:
        """[B, 1, S, S] -> [B, K, S, S]."""
        size = self.config.image_size
        if images.ndim != 4 or tuple(images.shape[1:]) != (1, size, size):
            raise ValueError(f"images have shape {tuple(images.shape)}; the network takes [B, 1, {size}, {size}]")
        return self.network(images)

    def masks(self, low_res_logits: Tensor) -> Tensor:
        """As they are: they have the image's size."""
        return low_res_logits

    def load_base(self, path: str | Path, *, keep_mapped: bool = False) -> None:
        raise SAMedError(f"{self.config.title} does not build on SAM weights such as {path}; leave the base out.")

    def take_weights(
        self, path: Path, state: dict[str, Tensor], metadata: ModelMetadata | None, classes: Classes | None = None
    ) -> list[str]:
        """See Network; the file is one of ours."""
        own = self.state_dict(keep_vars=True)
        factors, found = ({name for name in names if _FACTOR.search(name)} for names in (own, state))
        if found and found != factors:
            raise SAMedError(
                f"{path} holds {len(found)} LoRA tensors, the network has {len(factors)}; "
                f"build the network with the file's LoRA targets and tuning."
            )
        head = [name for name in own if name.startswith(self._head)]
        known = own if found else {name: tensor for name, tensor in own.items() if name not in factors}
        fits = all(name in state and state[name].shape == own[name].shape for name in head)
        anew = classes is not None and not (fits and in_order(classes, self.config.num_classes))
        if anew:
            known = {name: tensor for name, tensor in known.items() if name not in head}
        for name, target in known.items():
            if name not in state:
                raise SAMedError(
                    f"{path} has no {name}; it is incomplete, made for another network, or with another MONAI."
                )
            if state[name].shape != target.shape:
                raise SAMedError(
                    f"{path} does not fit: {name} is {shape_text(state[name])}, the network has {shape_text(target)}; "
                    f"build the network with the file's labels, size and LoRA rank."
                )
        assign(own, {name: state[name] for name in known})
        if metadata is not None and not anew:
            self.metadata = metadata.replace(config=self.config)
        return head if anew else []

    def tensors_of_base(self) -> set[str]:
        """None: the weights that stay as they are came from nowhere else."""
        return set()

    def _write(self, path: Path, dtype: torch.dtype | None) -> None:
        """The whole network, LoRA or not: what it stands on is in no other file."""
        if path.suffix in (".pth", ".pt"):
            raise SAMedError(f"{path}: the published layout is SAMed's; save {self.config.title} as .safetensors.")
        write_tensors(path, self.state_dict(), self.metadata, dtype)


def check_monai(config: MonaiConfig) -> None:
    """Raises SAMedError if MONAI, or what it needs, is not installed."""
    if any(importlib.util.find_spec(package) is None for package in ("monai", "einops")):
        raise SAMedError(
            f'{config.title} comes from MONAI, which is not installed; install it with: pip install "samed[monai]"'
        )


@dataclass(frozen=True)
class _Parts:
    """A network of MONAI's, and where in it things are.

    Attributes:
        head: name of the layer that makes the classes.
        encoder: name of the part that "encoder tuning" means.
        attentions: the encoder's, each with a fused projection `qkv`.
        output: what they call the projection after it.
    """

    network: nn.Module
    head: str
    encoder: str = ""
    attentions: Sequence[nn.Module] = ()
    output: str = ""


def _unet(config: UNetConfig) -> _Parts:
    from monai.networks.nets import BasicUNet

    features = (*config.channels, config.channels[0])
    return _Parts(BasicUNet(2, in_channels=1, out_channels=config.num_classes, features=features), "final_conv")


def _attention_unet(config: AttentionUNetConfig) -> _Parts:
    from monai.networks.nets import AttentionUnet

    strides = (2,) * (LEVELS - 1)
    return _Parts(AttentionUnet(2, 1, config.num_classes, config.channels, strides), "model.2")


def _swin_unetr(config: SwinUNETRConfig) -> _Parts:
    from monai.networks.nets import SwinUNETR
    from monai.networks.nets.swin_unetr import WindowAttention

    device = torch.get_default_device()
    with torch.device("cpu"):  # it reads numbers off a tensor while it is built, which the meta device does not allow
        network = SwinUNETR(
            in_channels=1,
            out_channels=config.num_classes,
            feature_size=config.feature_size,
            depths=config.depths,
            num_heads=config.num_heads,
            window_size=config.window_size,
            spatial_dims=2,
        )
    attentions = [module for module in network.swinViT.modules() if isinstance(module, WindowAttention)]
    return _Parts(network.to(device), "out", "swinViT", attentions, "proj")


def _unetr(config: UNETRConfig) -> _Parts:
    from monai.networks.nets import UNETR

    network = UNETR(
        in_channels=1,
        out_channels=config.num_classes,
        img_size=config.image_size,
        feature_size=config.feature_size,
        hidden_size=config.hidden_size,
        mlp_dim=config.mlp_dim,
        num_heads=config.num_heads,
        spatial_dims=2,
    )
    return _Parts(network, "out", "vit", [block.attn for block in network.vit.blocks], "out_proj")


_BUILDERS = {
    UNetConfig: _unet,
    AttentionUNetConfig: _attention_unet,
    SwinUNETRConfig: _swin_unetr,
    UNETRConfig: _unetr,
}
