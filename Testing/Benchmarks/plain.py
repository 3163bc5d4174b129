"""The published algorithm for one slice, as the yardstick of benchmarks.

segment_anything's own encoder with its own attention (biases added to whole attention maps, padded tokens computed),
LoRA as a second pair of products beside every qkv projection, three equal channels, one slice at a time, scipy's zooms,
softmax and argmax over all classes. Nothing is fused, merged or cached.
"""

from __future__ import annotations

import copy
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import zoom
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from SAMedLib.model import SAMed
from SAMedLib.model.config import PATCH_SIZE
from SAMedLib.model.lora import LoRALinear
from SAMedLib.model.segment_anything_modeling import ImageEncoderViT


class LoRABesideQKV(nn.Module):
    """qkv(x), then B A x added to the slices that have an adapter."""

    def __init__(self, qkv: nn.Linear, adapted: LoRALinear) -> None:
        super().__init__()
        self.qkv = qkv
        self.slices, self.a, self.b = adapted.slices, copy.deepcopy(adapted.a), copy.deepcopy(adapted.b)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)
        for target, part in self.slices.items():
            qkv[..., part] += F.linear(F.linear(x, self.a[target]), self.b[target])
        return qkv


class PlainSAMed(nn.Module):
    """The network of a SAMed whose LoRA is not merged; has its own copy of all weights."""

    def __init__(self, model: SAMed) -> None:
        super().__init__()
        config = model.config
        self.config = config
        self.image_encoder = ImageEncoderViT(
            img_size=config.image_size,
            patch_size=PATCH_SIZE,
            embed_dim=config.encoder.embed_dim,
            depth=config.encoder.depth,
            num_heads=config.encoder.num_heads,
            out_chans=config.decoder.embed_dim,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=config.encoder.window_size,
            global_attn_indexes=config.encoder.global_attn_indexes,
        )
        weights = model.image_encoder.state_dict()
        self.image_encoder.load_state_dict({name: weights[name] for name in self.image_encoder.state_dict()})
        for block, ours in zip(self.image_encoder.blocks, model.image_encoder.blocks, strict=True):
            if isinstance(ours.attn.qkv, LoRALinear):
                assert not ours.attn.qkv.merged
                block.attn.qkv = LoRABesideQKV(block.attn.qkv, ours.attn.qkv)
        self.prompt_encoder = copy.deepcopy(model.prompt_encoder)
        self.mask_decoder = copy.deepcopy(model.mask_decoder)
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """[1, 1, S, S] in [0, 1] -> logits [1, K, S/4, S/4]."""
        embeddings = self.image_encoder(image.repeat(1, 3, 1, 1))
        sparse, dense = self.prompt_encoder(points=None, boxes=None, masks=None)
        return self.mask_decoder.predict_masks(embeddings, self.prompt_encoder.get_dense_pe(), sparse, dense)[0]

    @torch.no_grad()
    def segment_slice(self, image: np.ndarray) -> np.ndarray:
        """A windowed slice [H, W] in [0, 1] -> labels [H, W], by the published test protocol."""
        size = image.shape
        for side in (self.config.slice_size, self.config.image_size):
            if image.shape != (side, side):
                image = zoom(image, (side / image.shape[0], side / image.shape[1]), order=3)
        logits = self(torch.from_numpy(image)[None, None].float())
        masks = F.interpolate(logits, image.shape, mode="bilinear", align_corners=False)
        labels = torch.argmax(torch.softmax(masks, dim=1), dim=1)[0].numpy()
        if labels.shape != size:
            labels = zoom(labels, (size[0] / labels.shape[0], size[1] / labels.shape[1]), order=0)
        return labels
