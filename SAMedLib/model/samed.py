"""SAMed: SAM with LoRA in the encoder and one mask token per class, segmenting without a prompt (arXiv 2304.13785)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from SAMedLib.model import checkpoint
from SAMedLib.model.config import SAMedConfig
from SAMedLib.model.lora import add_decoder_lora, add_encoder_lora
from SAMedLib.model.metadata import ModelMetadata
from SAMedLib.model.network import Network, SAMedOutput
from SAMedLib.model.sam import (
    ImageEncoder,
    build_mask_decoder,
    build_prompt_encoder,
    initial_position_tables,
    predict_masks,
)
from SAMedLib.organs import Classes


class _NothingDrawn(TorchFunctionMode):
    """Within it, layers leave their weights as memory gives them.

    The meta device would do the same, and take seconds: it is written in Python that is slow to import.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        drawing = func in (nn.init.kaiming_uniform_, nn.init.uniform_)
        return None if drawing else func(*args, **(kwargs or {}))


class SAMed(Network):
    """The network, freshly initialised; `load_base` and `load_adapter` bring trained weights.

    Parts have SAM's names (image_encoder, prompt_encoder, mask_decoder), so SAM's state dicts fit. See Network for the
    rest.

    Args:
        empty_encoder: leave the encoder's weights as memory gives them, where a file brings all of them: to draw a
            ViT-B's at random takes half a second.
    """

    config: SAMedConfig
    of_classes: ClassVar[str] = "the mask tokens, hypernetworks and IoU head of the decoder"

    def __init__(self, config: SAMedConfig, *, empty_encoder: bool = False) -> None:
        super().__init__(config)
        with _NothingDrawn() if empty_encoder else contextlib.nullcontext():
            self.image_encoder = ImageEncoder(config)
        self.prompt_encoder = build_prompt_encoder(config)
        self.mask_decoder = build_mask_decoder(config)
        initial_position_tables(self.image_encoder)
        self._freeze()
        add_encoder_lora(self.image_encoder, config)
        if config.decoder_tuning == "lora":
            add_decoder_lora(self.mask_decoder, config)

    def _freeze(self) -> None:
        self.image_encoder.requires_grad_(self.config.encoder_tuning == "full")
        if self.config.decoder_tuning == "lora":
            self.mask_decoder.transformer.requires_grad_(False)
        elif self.config.decoder_tuning == "frozen":
            self.mask_decoder.requires_grad_(False)

    def forward(self, images: Tensor) -> SAMedOutput:
        """Logits per class, the background included.

        Args:
            images: [B, 1 or 3, S, S] float, the HU window scaled to [0, 1]; S is config.image_size.

        Raises:
            ValueError: if the images have another shape.
        """
        low_res_logits, iou_predictions = self._predict(images)
        return SAMedOutput(low_res_logits, self.masks(low_res_logits), iou_predictions)

    def low_res_logits(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, S, S] -> [B, K, S/4, S/4]: what the loss needs, without the upsampling."""
        return self._predict(images)[0]

    def masks(self, low_res_logits: Tensor) -> Tensor:
        """[B, K, S/4, S/4] -> [B, K, S, S], bilinearly."""
        size, align_corners = (self.config.image_size,) * 2, self.config.align_corners
        return F.interpolate(low_res_logits, size, mode="bilinear", align_corners=align_corners)

    def _predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        size = self.config.image_size
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[2:] != (size, size):
            raise ValueError(f"images have shape {tuple(images.shape)}; the network takes [B, 1 or 3, {size}, {size}]")
        return predict_masks(self.prompt_encoder, self.mask_decoder, self.image_encoder(images))

    def load_base(self, path: str | Path, rel_pos_rule: str = "global", *, keep_mapped: bool = False) -> None:
        """Take SAM weights, with position tables resized to this network.

        Mask tokens, hypernetworks and the IoU head keep their initialisation, as published: their number of classes
        is another.

        Args:
            path: a SAM state dict, .pth or .safetensors, of the same ViT size and any image size.
            rel_pos_rule: "global" resizes the relative-position tables of global-attention blocks; "published" resizes
                those whose key holds "2", "5", "8" or "11", as the published code does (the same for ViT-B; ViT-L and
                ViT-H do not load with it).
            keep_mapped: use the file's pages as they are in memory instead of copying them, for inference; the file
                must stay as it is meanwhile.

        Raises:
            SAMedError: if the file is unreadable or belongs to another ViT size.
        """
        checkpoint.load_base(self, Path(path), rel_pos_rule, keep_mapped)

    def take_weights(
        self, path: Path, state: dict[str, Tensor], metadata: ModelMetadata | None, classes: Classes | None = None
    ) -> list[str]:
        """See Network; the file is in the published .pth layout, or one of ours (.safetensors)."""
        return checkpoint.apply_adapter(self, path, state, metadata, classes)

    def tensors_of_base(self) -> set[str]:
        """The encoder's, where it is not trained."""
        if not self.metadata.base:
            return set()
        encoder = self.image_encoder.named_parameters(prefix="image_encoder")
        return {name for name, parameter in encoder if not parameter.requires_grad}

    def _write(self, path: Path, dtype: torch.dtype | None) -> None:
        """Published layout for .pth.

        A .safetensors file of a network whose encoder was trained, or that has no base, holds all weights.
        """
        checkpoint.save_adapter(self, path, dtype)
