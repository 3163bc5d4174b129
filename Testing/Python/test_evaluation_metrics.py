"""Measures against medpy, the oracle, on everything from organs to single voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from medpy.metric import binary as medpy
from scipy import ndimage

from SAMedLib import evaluation
from SAMedLib.errors import SAMedError
from SAMedLib.evaluation.measure import measure_labels

SPACINGS = (None, (3.0, 0.7617, 0.7617), (1.0, 1.0, 1.0), (0.1, 5.0, 2.3))


def blobs(shape, seed, labels=8, density=0.02):
    """Touching, overlapping boxes of every size, some on the border of the volume, plus lone voxels."""
    generator = np.random.default_rng(seed)
    volume = np.zeros(shape, np.uint8)
    for label in range(1, labels + 1):
        low = [generator.integers(0, n) for n in shape]
        high = [generator.integers(a + 1, n + 1) for a, n in zip(low, shape, strict=True)]
        volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = label
    lone = generator.random(shape) < density
    volume[lone] = generator.integers(0, labels + 1, int(lone.sum()))
    return volume


def dc(prediction, reference):
    """medpy's dc; of two empty masks its source says 1, which NumPy from 2.4 on turns into not-a-number."""
    return medpy.dc(prediction, reference) if prediction.any() or reference.any() else 1.0


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_every_organ_measured_in_one_pass_equals_medpy_on_the_whole_volume(seed, spacing):
    prediction, reference = blobs((13, 24, 19), seed), blobs((13, 24, 19), seed + 100)
    for one in measure_labels(prediction, reference, 8, spacing):
        p, r = prediction == one.value, reference == one.value
        assert one.dice == dc(p, r)
        if not (p.any() and r.any()):
            assert one.hd95 is one.hd is one.assd is one.nsd is None
            continue
        assert one.hd95 == pytest.approx(medpy.hd95(p, r, spacing), abs=1e-9)
        assert one.hd == pytest.approx(medpy.hd(p, r, spacing), abs=1e-9)
        assert one.assd == pytest.approx(medpy.assd(p, r, spacing), abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(
    masks=arrays.array_shapes(min_dims=1, max_dims=3, max_side=7).flatmap(
        lambda shape: st.tuples(arrays.arrays(bool, shape), arrays.arrays(bool, shape))
    ),
    spacing=st.none() | st.floats(0.1, 10),
)
def test_dice_and_hd95_equal_medpy_on_any_small_pair_of_masks(masks, spacing):
    prediction, reference = masks
    assert evaluation.dice(prediction, reference) == dc(prediction, reference)
    if prediction.any() and reference.any():
        expected = medpy.hd95(prediction, reference, spacing)
        assert evaluation.hd95(prediction, reference, spacing) == pytest.approx(expected, abs=1e-9)
    else:
        with pytest.raises(RuntimeError):
            medpy.hd95(prediction, reference)
        with pytest.raises(RuntimeError):
            evaluation.hd95(prediction, reference)


def test_sensitivity_and_precision_equal_medpy():
    p, r = blobs((9, 12, 11), 1) == 2, blobs((9, 12, 11), 2) > 3
    assert evaluation.sensitivity(p, r) == medpy.sensitivity(p, r)
    assert evaluation.precision(p, r) == medpy.precision(p, r)
    assert evaluation.sensitivity(p, np.zeros_like(r)) is None
    assert evaluation.precision(np.zeros_like(p), r) is None


def test_real_organs_shifted_by_a_voxel_equal_medpy(shared_data):
    from SimpleITK import GetArrayFromImage, ReadImage

    image = ReadImage(str(shared_data / "example_ct" / "organs8.nii.gz"))
    reference = GetArrayFromImage(image).astype(np.uint8)
    spacing = image.GetSpacing()[::-1]
    prediction = np.roll(reference, (1, -2, 1), (0, 1, 2))
    for one in measure_labels(prediction, reference, 8, spacing)[2:5]:
        p, r = prediction == one.value, reference == one.value
        assert one.dice == dc(p, r)
        assert one.hd95 == pytest.approx(medpy.hd95(p, r, spacing), abs=1e-9)


def test_the_medpy_engine_gives_medpys_numbers():
    prediction, reference = blobs((8, 12, 11), 5), blobs((8, 12, 11), 6)
    ours = measure_labels(prediction, reference, 8, (2.0, 1.0, 1.0))
    theirs = measure_labels(prediction, reference, 8, (2.0, 1.0, 1.0), engine="medpy")
    for one, other in zip(ours, theirs, strict=True):
        p, r = prediction == one.value, reference == one.value
        assert other.dice == one.dice
        if one.hd95 is not None:
            assert other.hd95 == medpy.hd95(p, r, (2.0, 1.0, 1.0))
            assert other.hd95 == pytest.approx(one.hd95, abs=1e-9)


def test_surface_dice_counts_surface_voxels_within_the_tolerance():
    reference = np.zeros((20, 20), bool)
    reference[5:15, 5:15] = True
    prediction = np.zeros_like(reference)
    prediction[5:15, 5:17] = True  # one side two pixels further out
    assert evaluation.nsd(prediction, reference, 2.0) == 1.0
    # the 12 x 10 and the 10 x 10 rectangle have 40 and 36 border pixels; 12 of the first are not on the second (two
    # more of both long sides, ten at the end), of which two are one pixel away; of the second 8 lie inside, of which
    # two are one pixel away from the first
    assert evaluation.nsd(prediction, reference, 1.0) == (40 - 10 + 36 - 6) / 76
    assert evaluation.nsd(prediction, reference, 0.0) == (28 + 28) / 76
    assert evaluation.nsd(prediction, reference, 1.0, spacing=0.5) == 1.0


@pytest.mark.parametrize("place", range(8))
def test_a_voxel_exactly_at_the_tolerance_is_near_wherever_it_lies(place):
    """0.1 * 5 - 0.1 * 2 is less than 0.1 * 3: differences of positions would depend on the place."""
    prediction, reference = np.zeros((2, 12), bool)
    prediction[place], reference[place + 3] = True, True
    assert evaluation.nsd(prediction, reference, 3 * 0.1, spacing=0.1) == 1.0
    assert evaluation.hd95(prediction, reference, spacing=0.1) == medpy.hd95(prediction, reference, 0.1)


@pytest.mark.parametrize("spacing", [None, (0.1, 0.3, 0.7), (2.5, 0.8, 0.8)])
@pytest.mark.parametrize("seed", range(3))
def test_surface_dice_equals_the_share_of_two_distance_transforms(seed, spacing):
    prediction, reference = blobs((9, 14, 11), seed) == 8, blobs((9, 14, 11), seed + 50) == 8
    prediction[4, 4:9, 2:7] = reference[3:6, 5:8, 3:9] = True
    surfaces = [mask ^ ndimage.binary_erosion(mask) for mask in (prediction, reference)]
    distances = np.concatenate(
        [ndimage.distance_transform_edt(~there, sampling=spacing)[here] for here, there in (surfaces, surfaces[::-1])]
    )
    for tolerance in (0, 0.3, 0.7, 0.8, 1, 2.1, 2.4, 2.5):
        assert evaluation.nsd(prediction, reference, tolerance, spacing) == np.mean(distances <= tolerance)


def test_volume_difference_is_relative_to_the_reference():
    p, r = np.ones((2, 5), bool), np.zeros((2, 5), bool)
    assert evaluation.volume_difference(p, r) is None
    r[0, :] = True
    assert evaluation.volume_difference(p, r) == 1.0


def test_the_order_of_threads_changes_nothing():
    prediction, reference = blobs((10, 20, 20), 7), blobs((10, 20, 20), 8)
    assert measure_labels(prediction, reference, 8, threads=1) == measure_labels(prediction, reference, 8, threads=4)


def test_views_and_other_integer_types_measure_the_same():
    prediction, reference = blobs((10, 12, 14), 9), blobs((10, 12, 14), 10)
    expected = measure_labels(prediction, reference, 8)
    assert measure_labels(prediction.astype(np.float32), reference.astype(np.int64), 8) == expected
    flipped = measure_labels(prediction[::-1, :, ::-1], reference[::-1, :, ::-1], 8)
    assert [one.both for one in flipped] == [one.both for one in expected]
    assert [one.hd95 for one in flipped] == pytest.approx([one.hd95 for one in expected])


@pytest.mark.parametrize(
    ("prediction", "reference", "options", "words"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), {}, "2 x 3 voxels and the reference 3 x 2"),
        (np.full((2, 2), 9), np.zeros((2, 2)), {}, "prediction holds the label 9"),
        (np.zeros((2, 2)), np.full((2, 2), -1), {}, "reference holds the label -1"),
        (np.full((2, 2), 0.5), np.zeros((2, 2)), {}, "not whole numbers"),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), {}, "prediction holds the label nan"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {"spacing": (1, 1, 1)}, "does not fit 2 axes"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {"spacing": (0, 1)}, "positive length"),
        (np.zeros((2, 2)), np.zeros((2, 2)), {"engine": "fortran"}, "fast, medpy"),
    ],
)
def test_bad_input_is_named_in_one_sentence(prediction, reference, options, words):
    with pytest.raises(SAMedError, match=words):
        measure_labels(prediction, reference, 8, **options)
