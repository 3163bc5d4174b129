"""Networks and data to measure with: random, but of the right shape and the same every time."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from SAMedLib.model import SAMed, SAMedConfig
from SAMedLib.model.lora import LoRALinear

ORGANS = 8
# centre and radii of the organs, as shares of the volume along z, y, x
_ELLIPSOIDS = (
    (0.55, 0.60, 0.72, 0.22, 0.10, 0.09),
    (0.45, 0.62, 0.38, 0.20, 0.07, 0.06),
    (0.45, 0.62, 0.64, 0.20, 0.07, 0.06),
    (0.50, 0.42, 0.38, 0.08, 0.04, 0.03),
    (0.60, 0.50, 0.32, 0.30, 0.20, 0.17),
    (0.60, 0.42, 0.62, 0.22, 0.10, 0.10),
    (0.50, 0.58, 0.50, 0.50, 0.025, 0.025),
    (0.50, 0.50, 0.52, 0.10, 0.04, 0.13),
)


def random_network(config: SAMedConfig) -> SAMed:
    """With LoRA that does something, as after training; the state of torch's generator stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SAMed(config).eval()
        with torch.no_grad():
            for layer in (module for module in model.modules() if isinstance(module, LoRALinear)):
                for b in layer.b.values():
                    b.normal_(std=0.02)
    return model


def smooth_slices(count: int, side: int = 512) -> np.ndarray:
    """float32 [count, side, side] in [0, 1]: blobs and some noise, not alike."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(count, side, side))
    blobs = np.stack([ndimage.gaussian_filter(one, side / 25) for one in noise])
    blobs = 0.5 + 0.2 * blobs / blobs.std() + 0.02 * noise
    return blobs.clip(0, 1).astype(np.float32)


def organ_labels(shape: tuple[int, int, int], seed: int, speckle: float = 0.0) -> np.ndarray:
    """uint8 [Z, Y, X]: eight bumpy ellipsoids where the organs are, of their sizes; a share of voxels random."""
    generator = np.random.default_rng(seed)
    coarse = generator.normal(scale=0.25, size=(8, 12, 12))
    bumps = ndimage.zoom(coarse, [n / m for n, m in zip(shape, coarse.shape, strict=True)], order=1)
    z, y, x = np.ogrid[0 : 1 : shape[0] * 1j, 0 : 1 : shape[1] * 1j, 0 : 1 : shape[2] * 1j]
    labels = np.zeros(shape, np.uint8)
    for value, (cz, cy, cx, rz, ry, rx) in enumerate(_ELLIPSOIDS, 1):
        inside = ((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 + bumps < 1
        labels[inside & (labels == 0)] = value
    if speckle:
        noisy = generator.random(shape) < speckle
        labels[noisy] = generator.integers(0, ORGANS + 1, int(noisy.sum()))
    return labels
