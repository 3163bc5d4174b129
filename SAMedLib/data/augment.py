"""What training does to a slice before the network sees it, batched, on the device that holds the slices.

An augmentation draws its random numbers on the CPU and applies them anywhere. Draw for the whole global batch and
slice the result: `params = augmentation.draw(24, generator); mine = params[lo:hi]`. Every rank then sees what one rank
would have seen, and a saved generator state resumes exactly.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from SAMedLib.data.strong_augment import StrongAugmentation
from SAMedLib.errors import SAMedError
from SAMedLib.imaging.resample import zoom_cubic, zoom_nearest
from SAMedLib.model.networks import NetworkConfig

AUGMENTATIONS = ("published", "strong", "none")


class Augmentation(Protocol):
    """Random changes of slices together with their labels."""

    def draw(self, n: int, generator: torch.Generator) -> Any:
        """Random parameters for `n` slices from a CPU generator; `params[lo:hi]` are those of slices lo..hi-1."""
        ...

    def apply(self, images: Tensor, labels: Tensor, params: Any) -> tuple[Tensor, Tensor]:
        """Changed copies of images [B,S,S] (float) and labels [B,S,S] (integer), same shapes, dtypes and device."""
        ...


class NoAugmentation:
    """Slices as they are."""

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(n, dtype=torch.int64)

    def apply(self, images: Tensor, labels: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        return images, labels


class PublishedAugmentation:
    """What the published SAMed trains with (TransUNet's RandomGenerator, datasets/dataset_synapse.py).

    With probability 1/2 a rotation by a multiple of 90 degrees and then a flip, which together are always one of the
    four mirror images; else with probability 1/2 a rotation by an integer angle in [-20, 19] degrees with order 0 for
    image and label alike, zero outside; else nothing. Every case is a permutation of pixels, so it is an index map:
    equal to scipy.ndimage.rotate(order=0, reshape=False) pixel for pixel, at any square size.

    Parameters are one code per slice: 0 nothing, 1..4 a mirror image, 5..44 the angle code - 25.
    """

    def __init__(self) -> None:
        self._on_device: dict[tuple[int, int, torch.device], Tensor] = {}

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        mirrored, rotated = (torch.rand(2, n, generator=generator) > 0.5).unbind()
        mirror = torch.randint(1, 5, (n,), generator=generator)
        rotation = torch.randint(_FIRST_ROTATION, _FIRST_ROTATION + len(_ANGLES), (n,), generator=generator)
        return torch.where(mirrored, mirror, torch.where(rotated, rotation, torch.zeros_like(mirror)))

    def apply(self, images: Tensor, labels: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        size = images.shape[-1]
        index = torch.stack([self._index(code, size, images.device) for code in params.tolist()])
        return _take(images, index), _take(labels, index)

    def _index(self, code: int, size: int, device: torch.device) -> Tensor:
        key = (code, size, device)
        if key not in self._on_device:
            self._on_device[key] = torch.from_numpy(source_index(code, size)).to(device)
        return self._on_device[key]


_FIRST_ROTATION = 5
_ANGLES = range(-20, 20)


def source_index(code: int, size: int) -> np.ndarray:
    """Where each pixel of the changed slice comes from.

    Returns:
        int64 [size*size]: 1 + the flat index of the source pixel, 0 where the result is 0.
    """
    pixels = np.arange(1, size * size + 1, dtype=np.int64).reshape(size, size)
    if code == 0:
        changed = pixels
    elif code < _FIRST_ROTATION:
        changed = (pixels[::-1], pixels[:, ::-1], pixels.T, pixels[::-1, ::-1].T)[code - 1]
    else:
        changed = ndimage.rotate(pixels, _ANGLES[code - _FIRST_ROTATION], order=0, reshape=False)
    return np.ascontiguousarray(changed).reshape(-1)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Pixels of values [B,S,S] at index [B,S*S] as source_index numbers them."""
    flat = torch.nn.functional.pad(values.flatten(1), (1, 0))
    return flat.gather(1, index).view(values.shape)


def get_augmentation(name: str) -> Augmentation:
    """The augmentation called "published", "strong" or "none". Raises SAMedError for another name."""
    kinds = {"published": PublishedAugmentation, "strong": StrongAugmentation, "none": NoAugmentation}
    if name not in kinds:
        raise SAMedError(f"There is no augmentation called {name!r}; choose from {', '.join(AUGMENTATIONS)}.")
    return kinds[name]()


def to_network_size(
    images: Tensor, labels: Tensor, config: NetworkConfig, label_size: int | None = None
) -> tuple[Tensor, Tensor]:
    """Bring slices to what the network and the loss take, as the published loader does.

    Args:
        images: float [B,S,S].
        labels: integer [B,S,S].
        label_size: side L of the labels; None: config.logits_size, a quarter of the image's for SAMed.

    Returns:
        images [B,1,I,I], zoomed with cubic splines to I = config.image_size (values may overshoot [0, 1]), and labels
        int64 [B,L,L], zoomed with order 0 to I and then with order 0 to L.
    """
    full, wanted = (config.image_size,) * 2, (label_size or config.logits_size,) * 2
    return zoom_cubic(images, full)[:, None], zoom_nearest(labels, wanted, through=full).long()
