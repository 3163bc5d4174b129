"""What training does to slices: the published augmentation to the voxel, and the strong one within its promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from SAMedLib.data.augment import NoAugmentation, PublishedAugmentation, get_augmentation, to_network_size
from SAMedLib.data.strong_augment import StrongAugmentation
from SAMedLib.errors import SAMedError
from SAMedLib.model.config import SAMedConfig

NOTHING, FIRST_ROTATION = 0, 5
UNCHANGED = StrongAugmentation(scale=(1, 1), stretch=1, degrees=0, shift=0, elastic=0, strength=0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20)


def noise_slice(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(size)
    return rng.random((size, size), dtype=np.float32), rng.integers(0, 9, (size, size), dtype=np.uint8)


def apply_code(code: int, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, labels = PublishedAugmentation().apply(
        torch.from_numpy(image)[None], torch.from_numpy(label)[None], torch.tensor([code])
    )
    return images[0].numpy(), labels[0].numpy()


@pytest.mark.parametrize("size", [31, 64, 97, 224])
def test_every_published_rotation_equals_scipy_voxel_for_voxel(size):
    image, label = noise_slice(size)
    for angle in range(-20, 20):
        rotated = apply_code(FIRST_ROTATION + 20 + angle, image, label)
        for ours, original in zip(rotated, (image, label), strict=True):
            np.testing.assert_array_equal(ours, ndimage.rotate(original, angle, order=0, reshape=False))


def test_quarter_turns_with_a_flip_give_exactly_the_four_mirror_images():
    image, label = noise_slice(12)
    published = {np.flip(np.rot90(image, k), axis).tobytes() for k in range(4) for axis in (0, 1)}
    ours = {apply_code(code, image, label)[0].tobytes() for code in range(1, FIRST_ROTATION)}
    assert ours == published


def test_published_branches_come_as_often_as_published(generator):
    codes = PublishedAugmentation().draw(40000, generator)
    counts = torch.bincount(codes, minlength=45) / len(codes)
    assert counts[NOTHING] == pytest.approx(0.25, abs=0.01)
    np.testing.assert_allclose(counts[1:FIRST_ROTATION], 0.125, atol=0.01)
    np.testing.assert_allclose(counts[FIRST_ROTATION:], 0.25 / 40, atol=0.003)
    assert len(counts) == 45


@pytest.mark.parametrize("name", ["published", "strong", "none"])
def test_two_halves_of_a_batch_equal_the_whole(name, generator):
    augmentation = get_augmentation(name)
    images, labels = torch.rand(6, 40, 40), torch.randint(0, 9, (6, 40, 40), dtype=torch.uint8)
    params = augmentation.draw(6, generator)
    whole = augmentation.apply(images, labels, params)
    halves = [augmentation.apply(images[rows], labels[rows], params[rows]) for rows in (slice(0, 2), slice(2, 6))]
    torch.testing.assert_close(torch.cat([h[0] for h in halves]), whole[0], rtol=0, atol=1e-6)
    assert torch.equal(torch.cat([h[1] for h in halves]), whole[1])


@pytest.mark.parametrize("name", ["published", "strong"])
def test_a_saved_generator_state_repeats_the_augmentation_exactly(name, generator):
    augmentation = get_augmentation(name)
    images, labels = torch.rand(4, 32, 32), torch.randint(0, 9, (4, 32, 32))
    state = generator.get_state()
    first = augmentation.apply(images, labels, augmentation.draw(4, generator))
    second = augmentation.apply(images, labels, augmentation.draw(4, generator))
    generator.set_state(state)
    again = augmentation.apply(images, labels, augmentation.draw(4, generator))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize("name", ["published", "strong"])
def test_augmenting_leaves_its_input_and_its_types_alone(name, generator):
    augmentation = get_augmentation(name)
    images, labels = torch.rand(8, 32, 32), torch.randint(0, 9, (8, 32, 32), dtype=torch.uint8)
    before = images.clone(), labels.clone()
    changed = augmentation.apply(images, labels, augmentation.draw(8, generator))
    assert torch.equal(images, before[0])
    assert torch.equal(labels, before[1])
    assert [(c.dtype, c.shape) for c in changed] == [(b.dtype, b.shape) for b in before]


def test_no_augmentation_changes_nothing(generator):
    images, labels = torch.rand(2, 8, 8), torch.ones(2, 8, 8)
    assert NoAugmentation().apply(images, labels, NoAugmentation().draw(2, generator)) == (images, labels)


def test_an_unknown_augmentation_is_named_with_the_ones_there_are():
    with pytest.raises(SAMedError, match=r"'mixup'.*published, strong, none"):
        get_augmentation("mixup")


@pytest.mark.parametrize("slice_size", [96, 160])
def test_network_input_and_labels_are_zoomed_as_published(slice_size):
    config = SAMedConfig(image_size=160, slice_size=slice_size)
    image, label = noise_slice(slice_size)
    images, labels = to_network_size(torch.from_numpy(image)[None], torch.from_numpy(label)[None], config)
    factor = 160 / slice_size
    expected = ndimage.zoom(image, factor, order=3) if factor != 1 else image
    expected_label = ndimage.zoom(ndimage.zoom(label, factor, order=0) if factor != 1 else label, 0.25, order=0)
    assert images.shape == (1, 1, 160, 160)
    np.testing.assert_allclose(images[0, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(labels[0], expected_label)
    assert labels.dtype == torch.int64


def body(size: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """A slice with a bright organ on one side, inside a body, in air; labels are the organ."""
    y, x = torch.meshgrid(*2 * (torch.linspace(-1, 1, size),), indexing="ij")
    organ = ((x + 0.3) / 0.22) ** 2 + (y / 0.3) ** 2 < 1
    image = 0.4 * ((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1) + 0.4 * organ
    return image.float(), organ.to(torch.uint8)


def test_strong_augmentation_of_no_strength_is_the_identity(generator):
    image, label = body()
    images, labels = UNCHANGED.apply(image[None], label[None], UNCHANGED.draw(1, generator))
    torch.testing.assert_close(images[0], image, rtol=0, atol=1e-5)
    assert torch.equal(labels[0], label)


def test_strong_augmentation_moves_labels_with_the_image(generator):
    image, label = (t.expand(24, -1, -1) for t in body())
    geometry_only = StrongAugmentation(strength=0)
    images, labels = geometry_only.apply(image, label, geometry_only.draw(24, generator))
    organ = images > 0.6
    overlap = 2 * (organ & (labels > 0)).sum((1, 2)) / (organ.sum((1, 2)) + labels.sum((1, 2)))
    assert overlap.min() > 0.93
    areas = labels.sum((1, 2)) / label[0].sum()
    assert areas.min() < 0.8
    assert areas.max() > 1.25


def test_strong_augmentation_never_mirrors(generator):
    image, label = (t.expand(64, -1, -1) for t in body())
    augmentation = StrongAugmentation(shift=0)
    _, labels = augmentation.apply(image, label, augmentation.draw(64, generator))
    columns = torch.arange(96.0)
    centre = (labels * columns).sum((1, 2)) / labels.sum((1, 2))
    assert (centre < 48).all()


def test_strong_augmentation_leaves_air_black_and_values_in_the_window(generator):
    image, label = (t.expand(64, -1, -1) for t in body())
    augmentation = StrongAugmentation()
    params = augmentation.draw(64, generator)
    images, _ = augmentation.apply(image, label, params)
    assert images.min() >= 0
    assert images.max() <= 1
    uncovered = ~(params.rectangles[..., 2] > params.rectangles[..., 0]).any(dim=1)
    corners = torch.stack([images[:, 0, 0], images[:, 0, -1], images[:, -1, 0], images[:, -1, -1]])
    assert uncovered.sum() > 20
    assert (corners[:, uncovered] == 0).float().mean() > 0.9  # a magnified body may reach a corner


def test_strong_augmentation_keeps_the_order_of_tissues(generator):
    image, label = (t.expand(64, -1, -1) for t in body())
    augmentation = StrongAugmentation()
    images, labels = augmentation.apply(image, label, augmentation.draw(64, generator))
    for one, organ in zip(images, labels > 0, strict=True):
        assert one[organ].median() > one[~organ].median()


def test_outside_of_the_scan_is_air_and_background():
    augmentation = StrongAugmentation(scale=(0.7, 0.7), stretch=1, degrees=0, shift=0, elastic=0, strength=0)
    params = augmentation.draw(1, torch.Generator().manual_seed(0))
    images, labels = augmentation.apply(torch.ones(1, 60, 60), torch.ones(1, 60, 60, dtype=torch.uint8), params)
    assert labels[0].sum() == 42 * 42
    assert labels[0, :9].sum() == 0
    assert images[0, :8].abs().sum() == 0
