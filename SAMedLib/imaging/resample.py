"""scipy.ndimage.zoom as matrices and index maps: the same numbers, batched, on any device.

The published SAMed resizes slices with `scipy.ndimage.zoom` (order 3 for images, order 0 for labels; mode "constant"),
one at a time on the CPU. Zooming is linear and separable, so per axis it is a matrix, found by zooming unit vectors;
order 0 is an index map, found by zooming a ramp. Both are therefore scipy's own to the last rounding, its quirks
included: for some sizes (512 -> 224 is one) the last row and column fall outside its grid and become exactly 0.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import zoom
from torch import Tensor

from SAMedLib.onednn import product

_Product = Callable[[Tensor, Tensor], Tensor]
_BAND, _NEGLIGIBLE, _NOTHING = 64, 1e-9, 1e-30


@lru_cache(maxsize=64)
def cubic_zoom_matrix(n_in: int, n_out: int) -> np.ndarray:
    """The matrix of scipy's cubic zoom along one axis.

    Returns:
        float64 [n_out, n_in], read-only, without weights below 1e-30; the identity if the sizes are equal.
    """
    if n_in == n_out:
        matrix = np.eye(n_in)
    else:
        matrix = np.stack([zoom(unit, n_out / n_in, order=3) for unit in np.eye(n_in)], axis=1)
        # some would be denormal in float32, which makes products many times slower on Intel's processors
        matrix[np.abs(matrix) < _NOTHING] = 0
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=64)
def nearest_zoom_index(n_in: int, n_out: int) -> np.ndarray:
    """Where scipy's order-0 zoom takes each output element from.

    Returns:
        int64 [n_out], read-only; -1 where scipy gives the constant 0.
    """
    if n_in == n_out:
        index = np.arange(n_in, dtype=np.int64)
    else:
        index = zoom(np.arange(1, n_in + 1, dtype=np.int64), n_out / n_in, order=0) - 1
    index.setflags(write=False)
    return index


def zoom_cubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize slices as `scipy.ndimage.zoom(order=3)` does; values may overshoot their range, as there.

    Differs from scipy by under 1e-6 for float32 images in [0, 1] (float32 products; autocast is off in here, but
    `torch.set_float32_matmul_precision` other than "highest" would lower it on CUDA).

    Args:
        images: [..., H, W] float.
        size: (height, width) wanted.

    Returns:
        [..., height, width] of the same dtype, on the same device.
    """
    height, width = images.shape[-2:]
    if not images.numel():  # before PyTorch 2.3 products of nothing fail
        return images.new_empty((*images.shape[:-2], *size))
    multiply_rows, multiply_columns = _products(images)
    with _without_autocast(images.device.type):
        if width != size[1]:
            images = multiply_rows(images, _matrix(width, size[1], images))
        if height != size[0]:
            images = multiply_columns(images, _matrix(height, size[0], images))
    return images


def zoom_nearest(labels: Tensor, size: tuple[int, int], through: tuple[int, int] | None = None) -> Tensor:
    """Resize slices as `scipy.ndimage.zoom(order=0)` does.

    Args:
        labels: [..., H, W], any dtype.
        size: (height, width) wanted.
        through: (height, width) to resize to first; the same as two calls, in the time of one.

    Returns:
        [..., height, width] of the same dtype, on the same device.
    """
    for axis, n_out in ((-2, size[0]), (-1, size[1])):
        n_in = labels.shape[axis]
        between = through[axis] if through else n_in
        if n_in == between == n_out:
            continue
        second = nearest_zoom_index(between, n_out)
        index = np.where(second < 0, -1, nearest_zoom_index(n_in, between)[second])
        labels = labels.index_select(axis, torch.as_tensor(index.clip(min=0), device=labels.device))
        if outside := np.flatnonzero(index < 0).tolist():
            labels.index_fill_(axis, torch.tensor(outside, device=labels.device), 0)
    return labels


def _products(images: Tensor) -> tuple[_Product, _Product]:
    """How to multiply the rows, and how the columns, of [..., H, W] by a matrix [wanted, W or H]."""
    plain = images.is_cpu and images.dtype == torch.float32 and images.numel() and not images.requires_grad
    if plain:
        return _rows_in_bands, _columns_in_bands
    return lambda images, matrix: images @ matrix.T, lambda images, matrix: matrix @ images


def _rows_in_bands(images: Tensor, matrix: Tensor) -> Tensor:
    rows = images.flatten(0, -2)
    bands = [
        product(rows[:, read].contiguous(), matrix[written, read].contiguous())
        for written, read in _bands(*matrix.T.shape)
    ]
    return torch.cat(bands, dim=1).view(*images.shape[:-1], -1)


def _columns_in_bands(images: Tensor, matrix: Tensor) -> Tensor:
    out = images.new_empty(*images.shape[:-2], len(matrix), images.shape[-1])
    for written, read in _bands(*matrix.T.shape):
        band = matrix[written, read].contiguous()
        for image, zoomed in zip(images.reshape(-1, *images.shape[-2:]), out.view(-1, *out.shape[-2:]), strict=True):
            zoomed[written] = product(band, image[read].contiguous().t())
    return out


@lru_cache(maxsize=64)
def _bands(n_in: int, n_out: int) -> tuple[tuple[slice, slice], ...]:
    """Which inputs each of a few runs of outputs depends on: splines decay by 0.27 from one input to the next."""
    bands = []
    for start in range(0, n_out, _BAND):
        written = slice(start, min(start + _BAND, n_out))
        used = np.flatnonzero(np.abs(cubic_zoom_matrix(n_in, n_out)[written]).max(axis=0) > _NEGLIGIBLE)
        bands.append((written, slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)))
    return tuple(bands)


def _without_autocast(device_type: str) -> contextlib.AbstractContextManager:
    # torch < 2.5 has no autocast for other devices, and does not let it be switched off either
    return torch.autocast(device_type, enabled=False) if device_type in ("cuda", "cpu") else contextlib.nullcontext()


def _matrix(n_in: int, n_out: int, like: Tensor) -> Tensor:
    return torch.tensor(cubic_zoom_matrix(n_in, n_out), dtype=like.dtype, device=like.device)
