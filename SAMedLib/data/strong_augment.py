"""Strong augmentation: shape, place, intensity and image quality changed at random, for models trained on phantoms or
on a few clinical cases.

Everything is a small batch of matrix products or one resampling, so that a 256 x 256 slice costs a few milliseconds on
one CPU core. Left and right stay where they are: no mirror images, because organs are told apart by their side.
Brighter tissue stays brighter: CT numbers mean something.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_ELASTIC_GRID = 8  # control points along one side of the slice
_BIAS_GRID = 5
_RECTANGLES = 3
# Images are windowed to 400 HU, so 0.1 is 40 HU. Below this local mean there is only air, whose HU lie so far under
# the window that neither noise nor another window lifts it.
_AIR = 0.05


@dataclass(frozen=True)
class StrongParams:
    """Random parameters of n slices; `params[lo:hi]` are those of some of them. All tensors have n rows, on the CPU.

    Attributes:
        matrix: [n,2,3], output position (x, y in [-1, 1]) to input position.
        elastic: [n,2,G,G], displacement at the control points of a cubic B-spline, in half sides.
        gain, offset, gamma: [n], intensity becomes (gain (v - 1/2) + 1/2 + offset) ** gamma.
        bias: [n,G,G], logarithm of the multiplicative field at its control points.
        blur: [n,2], standard deviation of the Gaussian along rows and columns, pixels, 0 for none.
        reduction: [n,2], how many pixels become one before the slice is interpolated back, 1 for none.
        noise: [n], standard deviation; noise_width: [n], its correlation length in pixels; noise_seed: [n].
        rectangles: [n,R,5], x0, y0, x1, y1 in [0, 1] and the value inside; empty ones have x1 <= x0.
    """

    matrix: Tensor
    elastic: Tensor
    gain: Tensor
    offset: Tensor
    gamma: Tensor
    bias: Tensor
    blur: Tensor
    reduction: Tensor
    noise: Tensor
    noise_width: Tensor
    noise_seed: Tensor
    rectangles: Tensor

    def __getitem__(self, rows: slice) -> StrongParams:
        return StrongParams(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def __len__(self) -> int:
        return len(self.gain)


@dataclass(frozen=True)
class StrongAugmentation:
    """Random affine map, elastic deformation, contrast, bias field, blur, low resolution, noise and small rectangles.

    Attributes:
        scale: smallest and largest magnification, the same along both axes up to `stretch`.
        stretch: largest ratio between the magnifications along the two axes and their mean.
        degrees: largest rotation either way.
        shift: largest translation either way, as a part of the slice's side.
        elastic: standard deviation of the deformation's control points, as a part of the slice's side.
        strength: multiplies every intensity change; 0 leaves intensities alone.
    """

    scale: tuple[float, float] = (0.7, 1.4)
    stretch: float = 1.15
    degrees: float = 20.0
    shift: float = 0.12
    elastic: float = 0.02
    strength: float = 1.0

    def draw(self, n: int, generator: torch.Generator) -> StrongParams:
        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(n, *shape, generator=generator)

        def normal(*shape: int) -> Tensor:
            return torch.randn(n, *shape, generator=generator)

        def chosen(probability: float) -> Tensor:
            return (torch.rand(n, generator=generator) < probability).float()

        def log_uniform(low: float, high: float, *shape: int) -> Tensor:
            return uniform(math.log(low), math.log(high), *shape).exp()

        strength = self.strength
        stretched = log_uniform(1 / self.stretch, self.stretch)
        scale = log_uniform(*self.scale)[:, None] * torch.stack([stretched, 1 / stretched], dim=1)
        angle = torch.deg2rad(uniform(-self.degrees, self.degrees))
        return StrongParams(
            matrix=_affine(scale.clamp(*self.scale), angle, 2 * self.shift * uniform(-1, 1, 2)),
            elastic=2 * self.elastic * normal(2, _ELASTIC_GRID, _ELASTIC_GRID) * uniform(0, 1.5, 1, 1, 1),
            gain=log_uniform(0.7, 1.4).pow(strength * chosen(0.8)),
            offset=uniform(-0.12, 0.12) * strength * chosen(0.8),
            gamma=log_uniform(0.7, 1.4).pow(strength * chosen(0.5)),
            bias=normal(_BIAS_GRID, _BIAS_GRID) * 0.12 * strength * (chosen(0.3) * uniform(0, 1))[:, None, None],
            blur=uniform(0.3, 1.5, 2) * strength * chosen(0.3)[:, None],
            reduction=log_uniform(1.0, 3.0, 2).pow(strength * chosen(0.3)[:, None]),
            noise=log_uniform(0.01, 0.1) * strength * chosen(0.6),
            noise_width=uniform(0.0, 1.2) * chosen(0.6),
            noise_seed=torch.randint(2**62, (n,), generator=generator),
            rectangles=_rectangles(uniform(0, 1, _RECTANGLES, 6), strength * chosen(0.3)),
        )

    def apply(self, images: Tensor, labels: Tensor, params: StrongParams) -> tuple[Tensor, Tensor]:
        """Images linearly, labels by the nearest pixel; outside the slice there is air and background."""
        x, y = _positions(params, images.shape[-1], images.device)
        warped = functional.grid_sample(
            images[:, None], torch.stack([x, y], dim=-1).to(images.dtype), padding_mode="zeros", align_corners=False
        )[:, 0]
        return _change_intensity(warped, params), _nearest(labels, x, y)


def _affine(scale: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """[n,2,3]: the inverse of "magnify by scale [n,2], turn by angle [n], move by shift [n,2]"."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    linear = torch.stack([torch.stack([cos, sin], dim=1), torch.stack([-sin, cos], dim=1)], dim=1) / scale[:, :, None]
    return torch.cat([linear, -linear @ shift[:, :, None]], dim=2)


def _rectangles(numbers: Tensor, chosen: Tensor) -> Tensor:
    """Centre, size, value and presence of each rectangle from uniform numbers [n,R,6]."""
    half = (0.02 + 0.06 * numbers[..., 2:4]) * (numbers[..., 5:] < 0.6) * chosen[:, None, None]
    return torch.cat([numbers[..., :2] - half, numbers[..., :2] + half, numbers[..., 4:5]], dim=-1)


def _positions(params: StrongParams, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where each output pixel comes from: x and y [n,S,S] in [-1, 1], as grid_sample counts (align_corners False)."""
    centres = (torch.arange(size, device=device, dtype=torch.float32) * 2 + 1) / size - 1
    matrix = params.matrix.to(device)
    moved = _smooth_field(params.elastic.to(device), size)
    x, y = (
        (matrix[:, axis, 0, None, None] * centres + matrix[:, axis, 2, None, None])
        + matrix[:, axis, 1, None, None] * centres[:, None]
        + moved[:, axis]
        for axis in (0, 1)
    )
    return x, y


def _nearest(labels: Tensor, x: Tensor, y: Tensor) -> Tensor:
    size = labels.shape[-1]
    column, row = (((p + 1) * (size / 2)).floor_().long() for p in (x, y))
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    index = (row * size + column).clamp_(0, size * size - 1)
    return labels.flatten(1).gather(1, index.flatten(1)).view(labels.shape) * inside


def _change_intensity(images: Tensor, params: StrongParams) -> Tensor:
    device = images.device

    def column(values: Tensor) -> Tensor:
        return values.to(device)[:, None, None]

    images = _change_quality(images, params)
    tissue = _tissue(images)
    images = (images - 0.5) * column(params.gain) + (0.5 + column(params.offset))
    if params.bias.any():
        images = images * _smooth_field(params.bias.to(device), images.shape[-1]).exp()
    images = images + _noise(params, images.shape[-1], device)
    images = (images.clamp_(0, 1) * tissue).pow(column(params.gamma))
    return _cover(images, params.rectangles)


def _tissue(images: Tensor) -> Tensor:
    """1 where the neighbourhood holds tissue, 0 in air, between them at the border."""
    neighbourhood = functional.avg_pool2d(images[:, None], 3, stride=1, padding=1)[:, 0]
    return (neighbourhood * (1 / _AIR)).clamp_(0, 1)


def _change_quality(images: Tensor, params: StrongParams) -> Tensor:
    """Blur, and resolution lost along rows and columns, for the slices that have any."""
    changed = ((params.blur > 0) | (params.reduction > 1)).any(dim=1).nonzero()[:, 0]
    if len(changed) == 0:
        return images
    size = images.shape[-1]
    along_x, along_y = (
        _quality_matrix(params.blur[changed, axis], params.reduction[changed, axis], size).to(images) for axis in (0, 1)
    )
    images = images.clone()
    where = changed.to(images.device)
    images[where] = along_y @ images[where] @ along_x.transpose(1, 2)
    return images


def _quality_matrix(blur: Tensor, reduction: Tensor, size: int) -> Tensor:
    """[n,S,S]: each line of pixels blurred with a Gaussian, averaged to size / reduction pixels, interpolated back."""
    pixel = torch.arange(size, dtype=torch.float32)
    distance = (pixel[:, None] - pixel).square()
    gaussian = torch.exp(-distance / (2 * blur.clamp(min=0.05)[:, None, None].square()))
    coarse = _normalised(gaussian)
    lost = (reduction > 1).nonzero()[:, 0]
    if len(lost) > 0:
        coarse[lost] = _there_and_back(reduction[lost], size) @ coarse[lost]
    return coarse


def _there_and_back(reduction: Tensor, size: int) -> Tensor:
    factor = reduction[:, None, None]
    cells = math.ceil(size / float(reduction.min()))
    cell = torch.arange(cells, dtype=torch.float32)
    pixel = torch.arange(size, dtype=torch.float32)
    start = torch.maximum(cell[:, None] * factor, pixel)
    end = torch.minimum((cell[:, None] + 1) * factor, pixel + 1)
    average = _normalised((end - start).clamp_(min=0))
    last = torch.ceil(size / factor) - 1
    centre = torch.minimum(((pixel[:, None] + 0.5) / factor - 0.5).clamp_(min=0), last)
    return (1 - (centre - cell).abs()).clamp_(min=0) @ average


def _normalised(rows: Tensor) -> Tensor:
    return rows / rows.sum(dim=-1, keepdim=True).clamp(min=1e-12)


def _noise(params: StrongParams, size: int, device: torch.device) -> Tensor:
    """Gaussian noise [n,S,S], correlated over noise_width pixels; a seed per slice: batches do not matter."""
    noise = torch.zeros(len(params), size, size, device=device)
    generator = torch.Generator(device)
    for row in params.noise.nonzero()[:, 0].tolist():
        generator.manual_seed(int(params.noise_seed[row]))
        noise[row].normal_(0.0, float(params.noise[row]), generator=generator)
    wide = (params.noise * params.noise_width).nonzero()[:, 0]
    if len(wide) > 0:
        kernel = _quality_matrix(params.noise_width[wide], torch.ones(len(wide)), size)
        kernel = (kernel / kernel.square().sum(dim=-1, keepdim=True).sqrt()).to(device)  # keeps the variance
        where = wide.to(device)
        noise[where] = kernel @ noise[where] @ kernel.transpose(1, 2)
    return noise


def _cover(images: Tensor, rectangles: Tensor) -> Tensor:
    size = images.shape[-1]
    corners = (rectangles[..., :4] * size).round().clamp(0, size).long()
    for slice_, rectangle in ((rectangles[..., 2] > rectangles[..., 0]).nonzero()).tolist():
        x0, y0, x1, y1 = corners[slice_, rectangle].tolist()
        images[slice_, y0:y1, x0:x1] = float(rectangles[slice_, rectangle, 4])
    return images


def _smooth_field(control: Tensor, size: int) -> Tensor:
    """Cubic B-spline surface [...,S,S] over control points [...,G,G]."""
    basis = torch.from_numpy(_spline_basis(control.shape[-1], size)).to(control)
    return basis @ control @ basis.T


@lru_cache(maxsize=16)
def _spline_basis(points: int, size: int) -> np.ndarray:
    """float32 [size, points]: weights of uniform cubic B-splines whose outermost knots lie outside the slice."""
    position = (np.arange(size) + 0.5) / size * (points - 3) + 1
    distance = np.abs(position[:, None] - np.arange(points))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clip(0) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)
