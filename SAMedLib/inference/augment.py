"""Test-time augmentation: the mean of what the network says about a slice and about turned and mirrored copies."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATIONS = (-10.0, 10.0)  # degrees; within the [-20, 19] of the published training augmentation
MIRROR_AXES = (-1, -2)  # columns (left and right), rows (front and back)


def average_probabilities(images: Tensor, probabilities: Callable[[Tensor], Tensor], mirror: bool) -> Tensor:
    """The mean class probabilities over an image, its rotations by +-10 degrees and, if `mirror`, its mirror images.

    Mirroring is right only for a network that was trained on mirror images with unchanged labels, as the published
    augmentation does: such a network tells the right kidney from the left by the organs around it. Another one would
    swap them. Rotations are bilinear; pixels that a rotation moves out of the image have no say in the mean there.

    Args:
        images: [B, C, S, S] as the network takes them.
        probabilities: what the network says, [B, C, S, S] -> [B, K, S, S].
        mirror: also average over mirror images.

    Returns:
        [B, K, S, S], summing to 1 over K.
    """
    total = probabilities(images)
    if mirror:
        for axis in MIRROR_AXES:
            total = total + probabilities(images.flip(axis)).flip(axis)
    for degrees in ROTATIONS:
        # a pixel from outside comes back as 0 in every class, so the final division weighs it correctly
        total = total + rotate(probabilities(rotate(images, degrees)), -degrees)
    return total / total.sum(dim=1, keepdim=True)


def rotate(images: Tensor, degrees: float) -> Tensor:
    """Rotate [B, C, S, S] counter-clockwise about its centre, bilinearly, zeros outside."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]], dtype=images.dtype, device=images.device)
    grid = F.affine_grid(matrix.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
