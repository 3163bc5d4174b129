"""Volumes turn to a model's axes and come back exactly."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from made_ct import OBLIQUE, ORIENTATIONS, direction_of
from SAMedLib.errors import SAMedError
from SAMedLib.imaging.orientation import determinant, orientation_code, reorient, restore, source_axes

ARRAY = np.arange(2 * 3 * 4).reshape(2, 3, 4)


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_every_orientation_turns_as_itk_turns_it_and_comes_back(code):
    direction = direction_of(code)
    assert orientation_code(direction) == code
    image = sitk.GetImageFromArray(ARRAY)
    image.SetDirection(direction)
    for wanted in ("LAS", "LPS", "SAR", "AIL"):
        turned = reorient(ARRAY, direction, wanted)
        assert np.array_equal(turned, sitk.GetArrayFromImage(sitk.DICOMOrient(image, wanted)))
        assert np.array_equal(restore(turned, direction, wanted), ARRAY)


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_an_oblique_scan_takes_the_closest_axes(code):
    tilted = (np.reshape(OBLIQUE, (3, 3)) @ np.reshape(direction_of(code), (3, 3))).ravel()
    assert orientation_code(tilted) == code
    assert np.array_equal(restore(reorient(ARRAY, tilted, "LAS"), tilted, "LAS"), ARRAY)


def test_axes_that_lie_between_two_directions_are_still_all_different():
    half = np.sqrt(0.5)
    direction = (half, -half, 0, half, half, 0, 0, 0, 1)
    code = orientation_code(direction)
    assert sorted(sum(letter in pair for letter in code) for pair in ("RL", "AP", "IS")) == [1, 1, 1]
    assert np.array_equal(restore(reorient(ARRAY, direction, "LAS"), direction, "LAS"), ARRAY)


def test_turning_copies_no_voxels():
    assert np.shares_memory(reorient(ARRAY, direction_of("RAS"), "LPI"), ARRAY)


def test_source_axes_say_where_an_index_comes_from():
    assert source_axes(direction_of("LPS"), "LAS") == [(0, False), (1, True), (2, False)]
    assert source_axes(direction_of("SRA"), "LPS") == [(1, True), (2, True), (0, False)]


@pytest.mark.parametrize("code", ["LLS", "LA", "XYZ", "", "LASS"])
def test_what_is_no_orientation_is_refused(code):
    with pytest.raises(SAMedError, match="Orientation"):
        reorient(ARRAY, direction_of("LPS"), code)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_determinants_are_numpys(size):
    matrix = np.random.default_rng(size).normal(size=(size, size))
    assert determinant(matrix.tolist()) == pytest.approx(np.linalg.det(matrix), rel=1e-12)
