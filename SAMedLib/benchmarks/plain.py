"""The published algorithm, as the yardstick of benchmarks.

segment_anything's own encoder with its own attention (biases added to whole attention maps, padded tokens computed),
LoRA as a second pair of products beside every qkv projection, three equal channels, scipy's zooms slice by slice,
softmax and argmax over all classes, medpy's metrics organ by organ. Nothing is fused, merged or cached.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

from SAMedLib.model import SAMed
from SAMedLib.model.config import PATCH_SIZE
from SAMedLib.model.lora import LoRALinear
from SAMedLib.model.segment_anything_modeling import ImageEncoderViT

_SMOOTH = 1e-5


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
    """The network of a SAMed whose LoRA is not merged; has its own copy of all weights, with the same ones trained.

    Only LoRA on q, k and v of the encoder is known here.
    """

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
        self.image_encoder.requires_grad_(config.encoder_tuning == "full")
        for block, ours in zip(self.image_encoder.blocks, model.image_encoder.blocks, strict=True):
            if isinstance(ours.attn.qkv, LoRALinear):
                assert not ours.attn.qkv.merged
                block.attn.qkv = LoRABesideQKV(block.attn.qkv, ours.attn.qkv)
        self.prompt_encoder = copy.deepcopy(model.prompt_encoder)
        self.mask_decoder = copy.deepcopy(model.mask_decoder)
        self.to(next(model.parameters()).device).eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 1, S, S] in [0, 1] -> logits [B, K, S/4, S/4], and the same at the images' size."""
        embeddings = self.image_encoder(images.repeat(1, 3, 1, 1))
        sparse, dense = self.prompt_encoder(points=None, boxes=None, masks=None)
        position = self.prompt_encoder.get_dense_pe()
        logits = self.mask_decoder.predict_masks(embeddings, position, sparse, dense)[0]
        return logits, F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)

    @torch.no_grad()
    def segment_slice(self, image: np.ndarray) -> np.ndarray:
        """A windowed slice [H, W] in [0, 1] -> labels [H, W], by the published test protocol."""
        size = image.shape
        image = to_network(image, self.config.slice_size, self.config.image_size)
        device = next(self.parameters()).device
        _, masks = self(torch.from_numpy(image)[None, None].float().to(device))
        labels = torch.argmax(torch.softmax(masks, dim=1), dim=1)[0].cpu().numpy()
        return labels if labels.shape == size else ndimage.zoom(labels, _factors(labels, size[0]), order=0)


def to_network(image: np.ndarray, *sides: int) -> np.ndarray:
    """A square slice zoomed with cubic splines to each of these sides in turn."""
    for side in sides:
        if image.shape != (side, side):
            image = ndimage.zoom(image, _factors(image, side), order=3)
    return image


def augmented(
    image: np.ndarray, label: np.ndarray, image_size: int, draw: random.Random
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A training slice [S, S] as the published loader gives it: image, label, label at a quarter of the size."""
    if draw.random() > 0.5:
        turns, axis = draw.randrange(4), draw.randrange(2)
        image, label = (np.flip(np.rot90(one, turns), axis).copy() for one in (image, label))
    elif draw.random() > 0.5:
        angle = draw.randrange(-20, 20)
        image, label = (ndimage.rotate(one, angle, order=0, reshape=False) for one in (image, label))
    if image.shape != (image_size, image_size):
        label = ndimage.zoom(label, _factors(label, image_size), order=0)
        image = to_network(image, image_size)
    return image, label, ndimage.zoom(label, _factors(label, image_size // 4), order=0)


def loss(logits: Tensor, labels: Tensor, dice_weight: float = 0.8) -> Tensor:
    """Cross entropy and Dice on low-resolution logits [B, K, h, w] and labels [B, h, w], class by class."""
    cross_entropy = F.cross_entropy(logits, labels)
    probabilities = torch.softmax(logits, dim=1)
    dice = logits.new_zeros(())
    for value in range(logits.shape[1]):
        score, target = probabilities[:, value], (labels == value).float()
        overlap, total = (score * target).sum(), (score * score).sum() + (target * target).sum()
        dice = dice + 1 - (2 * overlap + _SMOOTH) / (total + _SMOOTH)
    return (1 - dice_weight) * cross_entropy + dice_weight * dice / logits.shape[1]


class PlainTraining:
    """Steps of AdamW on a PlainSAMed."""

    def __init__(self, network: PlainSAMed) -> None:
        self.network = network.train()
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, weight_decay=0.1)

    def step(self, images: Tensor, labels: Tensor, learning_rate: float) -> float:
        """Images [B, 1, S, S] and labels [B, S/4, S/4]; the loss before the step."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        value = loss(self.network(images)[0], labels)
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        return value.item()


def evaluated(
    prediction: np.ndarray, reference: np.ndarray, organs: int, before_organ: Callable[[], object] = lambda: None
) -> list[tuple[float, float]]:
    """Dice and HD95 of labels 1 to `organs` with medpy, each on the whole volume; needs that package.

    Args:
        before_organ: called before each, which takes long; to cancel, raise from here.
    """
    from medpy.metric.binary import dc, hd95

    found = []
    for value in range(1, organs + 1):
        before_organ()
        one, other = prediction == value, reference == value
        found.append((float(dc(one, other)), float(hd95(one, other))))
    return found


def _factors(array: np.ndarray, side: int) -> tuple[float, ...]:
    return tuple(side / length for length in array.shape)
