"""Zooms give scipy's numbers, for slices in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from SAMedLib.imaging.resample import cubic_zoom_matrix, nearest_zoom_index, zoom_cubic, zoom_nearest

CHAINS = [
    ((512, 512), (224, 224), (512, 512)),
    ((121, 333), (224, 224), (512, 512)),
    ((640, 480), (48, 48), (64, 64)),
    ((224, 300), (224, 224)),
    ((510, 229), (224, 224), (256, 256)),
    ((1, 7), (48, 48)),
    ((33, 34), (1, 5)),
]


def scipy_zoom(image: np.ndarray, size: tuple[int, int], order: int) -> np.ndarray:
    return zoom(image, (size[0] / image.shape[0], size[1] / image.shape[1]), order=order)


@pytest.mark.parametrize("sizes", CHAINS)
def test_cubic_zooms_are_scipys(sizes):
    ours = torch.from_numpy(np.random.default_rng(0).random((2, *sizes[0]), dtype=np.float32))
    theirs = ours.numpy()
    for size in sizes[1:]:
        ours = zoom_cubic(ours, size)
        theirs = np.stack([scipy_zoom(image, size, order=3) for image in theirs])
        assert ours.dtype == torch.float32
        assert np.abs(ours.numpy() - theirs).max() <= 1e-6


@pytest.mark.parametrize("sizes", CHAINS)
def test_order_0_zooms_are_scipys_there_and_back(sizes):
    ours = torch.from_numpy(np.random.default_rng(0).integers(1, 9, (2, *sizes[0]), dtype=np.uint8))
    theirs = ours.numpy()
    for size in (*sizes[1:], sizes[0]):
        ours = zoom_nearest(ours, size)
        theirs = np.stack([scipy_zoom(image, size, order=0) for image in theirs])
        assert ours.dtype == torch.uint8
        assert np.array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize("sizes", [sizes for sizes in CHAINS if len(sizes) == 3])
def test_two_order_0_zooms_at_once_are_the_two(sizes):
    labels = torch.from_numpy(np.random.default_rng(0).integers(1, 9, (2, *sizes[0]), dtype=np.uint8))
    both = zoom_nearest(zoom_nearest(labels, sizes[1]), sizes[2])
    assert torch.equal(zoom_nearest(labels, sizes[2], through=sizes[1]), both)


def test_single_slices_and_parts_of_larger_ones_are_zoomed_too():
    image = torch.rand(3, 90, 100)
    part = image[1, 5:85, 10:90]
    assert np.abs(zoom_cubic(part, (48, 64)).numpy() - scipy_zoom(part.numpy(), (48, 64), order=3)).max() <= 1e-6
    assert zoom_cubic(image[:, None], (48, 64)).shape == (3, 1, 48, 64)
    assert zoom_cubic(image[:0], (48, 64)).shape == (0, 48, 64)


@pytest.mark.parametrize("n_in", [229, 457, 510, 512])
def test_sizes_where_scipy_leaves_the_last_row_zero_keep_it_zero(n_in):
    assert not cubic_zoom_matrix(n_in, 224)[-1].any()
    assert nearest_zoom_index(n_in, 224)[-1] == -1
    ones = torch.ones(1, n_in, n_in)
    assert not zoom_cubic(ones, (224, 224))[:, -1].any()
    assert not zoom_nearest(ones, (224, 224))[:, :, -1].any()


def test_double_precision_is_kept():
    image = np.random.default_rng(0).random((75, 60))
    ours = zoom_cubic(torch.from_numpy(image), (48, 64)).numpy()
    assert np.abs(ours - scipy_zoom(image, (48, 64), order=3)).max() <= 1e-12


def test_the_same_size_changes_nothing():
    image = torch.rand(2, 40, 40)
    assert torch.equal(zoom_cubic(image, (40, 40)), image)
    assert torch.equal(zoom_nearest(image, (40, 40)), image)
    assert np.array_equal(cubic_zoom_matrix(5, 5), np.eye(5))
    assert nearest_zoom_index(5, 5).tolist() == [0, 1, 2, 3, 4]


def test_autocast_does_not_reach_the_zoom():
    image = torch.rand(1, 60, 60)
    with torch.autocast("cpu", torch.bfloat16):
        inside = zoom_cubic(image, (48, 48))
    assert torch.equal(inside, zoom_cubic(image, (48, 48)))


def test_gradients_pass_through_the_cubic_zoom():
    image = torch.rand(1, 20, 20, requires_grad=True)
    zoom_cubic(image, (30, 30)).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize(("n_in", "n_out"), [(512, 224), (224, 512)])
def test_no_weight_is_denormal(n_in, n_out):
    weights = np.abs(cubic_zoom_matrix(n_in, n_out))
    assert weights[weights > 0].min() > np.finfo(np.float32).tiny
