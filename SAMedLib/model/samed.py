"""SAMed: SAM with LoRA in the encoder and one mask token per class, segmenting without a prompt (arXiv 2304.13785)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SAMedLib.model import checkpoint
from SAMedLib.model.config import SAMedConfig
from SAMedLib.model.lora import LoRALinear, add_decoder_lora, add_encoder_lora
from SAMedLib.model.metadata import ModelMetadata, default_metadata
from SAMedLib.model.sam import (
    ImageEncoder,
    build_mask_decoder,
    build_prompt_encoder,
    initial_position_tables,
    predict_masks,
)


class SAMedOutput(NamedTuple):
    """low_res_logits [B, K, S/4, S/4], masks (logits) [B, K, S, S], iou_predictions [B, K]; K counts the background."""

    low_res_logits: Tensor
    masks: Tensor
    iou_predictions: Tensor


class SAMed(nn.Module):
    """The network, freshly initialised; `load_base` and `load_adapter` bring trained weights.

    Parts have SAM's names (image_encoder, prompt_encoder, mask_decoder), so SAM's state dicts fit. Parameters that the
    configuration does not tune have requires_grad False.

    Attributes:
        config: what was built.
        metadata: what the model says about itself; saved with adapters.
    """

    def __init__(self, config: SAMedConfig) -> None:
        super().__init__()
        self.config = config
        self.metadata: ModelMetadata = default_metadata(config)
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
        masks = F.interpolate(low_res_logits, images.shape[-2:], mode="bilinear", align_corners=False)
        return SAMedOutput(low_res_logits, masks, iou_predictions)

    def low_res_logits(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, S, S] -> [B, K, S/4, S/4]: what the loss needs, without the upsampling."""
        return self._predict(images)[0]

    def _predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        size = self.config.image_size
        if images.ndim != 4 or images.shape[1] not in (1, 3) or images.shape[2:] != (size, size):
            raise ValueError(f"images have shape {tuple(images.shape)}; the network takes [B, 1 or 3, {size}, {size}]")
        return predict_masks(self.prompt_encoder, self.mask_decoder, self.image_encoder(images))

    def load_base(self, path: str | Path, rel_pos_rule: str = "global") -> None:
        """Take SAM weights, with position tables resized to this network.

        Mask tokens, hypernetworks and the IoU head keep their initialisation, as published: their number of classes
        is another.

        Args:
            path: a SAM state dict, .pth or .safetensors, of the same ViT size and any image size.
            rel_pos_rule: "global" resizes the relative-position tables of global-attention blocks; "published" resizes
                those whose key holds "2", "5", "8" or "11", as the published code does (the same for ViT-B; ViT-L and
                ViT-H do not load with it).

        Raises:
            SAMedError: if the file is unreadable or belongs to another ViT size.
        """
        checkpoint.load_base(self, Path(path), rel_pos_rule)

    def load_adapter(self, path: str | Path, other_classes: bool = False) -> list[str]:
        """Take the tuned weights of a file: published .pth layout, or ours (.safetensors).

        LoRA factors that the file lacks keep their initialisation: a model without LoRA can be finetuned with it.

        Args:
            other_classes: accept a file with another number of classes; what depends on the classes then keeps its
                initialisation.

        Returns:
            names of the tensors that kept their initialisation because the number of classes differs.

        Raises:
            SAMedError: if the file is unreadable, or was made for another network.
        """
        return checkpoint.load_adapter(self, Path(path), other_classes)

    def save_adapter(self, path: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write the tuned weights: published layout for .pth, with full metadata for .safetensors.

        A .safetensors file of a network whose encoder was trained, or that has no base, holds all weights.

        Args:
            dtype: store floating-point tensors like this, None as they are.
        """
        checkpoint.save_adapter(self, Path(path), dtype)

    def merge_lora(self) -> None:
        """Fold the adapters into the weights, for inference: same numbers, less work."""
        for layer in self._lora_layers():
            layer.merge()

    def unmerge_lora(self) -> None:
        """Restore the weights exactly as they were before merge_lora()."""
        for layer in self._lora_layers():
            layer.unmerge()

    def _lora_layers(self) -> list[LoRALinear]:
        return [module for module in self.modules() if isinstance(module, LoRALinear)]
