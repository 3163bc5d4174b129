"""SAM's three parts at any size, built from segment_anything.modeling."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from SAMedLib.model.attention import EncoderBlock
from SAMedLib.model.config import PATCH_SIZE, SAMedConfig
from SAMedLib.model.segment_anything_modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
)


class ImageEncoder(ImageEncoderViT):
    """SAM's ViT with fused attention; takes one channel, or three."""

    def __init__(self, config: SAMedConfig) -> None:
        encoder = config.encoder
        super().__init__(
            img_size=config.image_size,
            patch_size=PATCH_SIZE,
            embed_dim=encoder.embed_dim,
            depth=0,  # the blocks are ours
            num_heads=encoder.num_heads,
            out_chans=config.decoder.embed_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
        )
        self.blocks.extend(
            EncoderBlock(
                encoder.embed_dim,
                encoder.num_heads,
                config.tokens,
                0 if index in encoder.global_attn_indexes else encoder.window_size,
            )
            for index in range(encoder.depth)
        )

    def forward(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, S, S] -> embeddings [B, decoder width, S/16, S/16]."""
        # convolutions lay tokens and gradients out channel by channel, and sums would hand that on from block to block
        x = (self.embed(images) + self.pos_embed).contiguous()
        for block in self.blocks:
            x = block(x)
        if x.requires_grad:
            x.register_hook(Tensor.contiguous)
        return self.neck(x.permute(0, 3, 1, 2))

    def embed(self, images: Tensor) -> Tensor:
        """[B, 1 or 3, S, S] -> tokens [B, S/16, S/16, C], without their positions."""
        if images.shape[1] == 3:
            return self.patch_embed(images)
        # the published code repeats the CT channel three times; one channel with summed kernels is the same
        proj = self.patch_embed.proj
        kernel = proj.weight.sum(dim=1, keepdim=True)
        return F.conv2d(images, kernel, proj.bias, stride=proj.stride).permute(0, 2, 3, 1)


def build_prompt_encoder(config: SAMedConfig) -> PromptEncoder:
    return PromptEncoder(
        embed_dim=config.decoder.embed_dim,
        image_embedding_size=(config.tokens, config.tokens),
        input_image_size=(config.image_size, config.image_size),
        mask_in_chans=config.decoder.mask_in_chans,
    )


def build_mask_decoder(config: SAMedConfig) -> MaskDecoder:
    """SAM's decoder with one mask token per class: num_multimask_outputs counts the tokens beyond the first."""
    decoder = config.decoder
    return MaskDecoder(
        num_multimask_outputs=config.num_classes - 1,
        transformer=TwoWayTransformer(
            depth=decoder.depth,
            embedding_dim=decoder.embed_dim,
            num_heads=decoder.num_heads,
            mlp_dim=decoder.mlp_dim,
        ),
        transformer_dim=decoder.embed_dim,
        iou_head_depth=3,
        iou_head_hidden_dim=decoder.iou_hidden_dim,
    )


def predict_masks(
    prompt_encoder: PromptEncoder, mask_decoder: MaskDecoder, embeddings: Tensor
) -> tuple[Tensor, Tensor]:
    """Masks of all classes without any prompt.

    MaskDecoder.forward drops the first mask; SAMed uses all of them, class 0 being the background.

    Args:
        embeddings: [B, C, T, T] from the image encoder.

    Returns:
        low-resolution logits [B, K, 4T, 4T] and IoU predictions [B, K].
    """
    sparse, dense = prompt_encoder(points=None, boxes=None, masks=None)
    return mask_decoder.predict_masks(
        image_embeddings=embeddings,
        image_pe=prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
    )


def resize_positions(name: str, table: Tensor, target: Tensor) -> Tensor:
    """Resize an encoder position table to `target`'s shape, bilinearly, as the published code does.

    Args:
        name: its key in the state dict.
        table: pos_embed [1, T, T, C], or a relative-position table [2T - 1, head width].
    """
    if table.shape == target.shape:
        return table
    if name.endswith("pos_embed"):
        resized = F.interpolate(table.float().permute(0, 3, 1, 2), target.shape[1:3], mode="bilinear")
        return resized.permute(0, 2, 3, 1)
    resized = F.interpolate(table.float()[None, None], tuple(target.shape), mode="bilinear")
    return resized[0, 0]


def initial_position_tables(encoder: ImageEncoder, generator: torch.Generator | None = None) -> None:
    """Give zero position tables small random values, for training from scratch (SAM's own start)."""
    for name, parameter in encoder.named_parameters():
        if "pos" in name:
            nn.init.trunc_normal_(parameter, std=0.02, generator=generator)
