"""Phantoms: anatomy in the right place, in plausible amounts, and drawn again from the same seed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SAMedLib.data.phantom import make_phantom
from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE

SMALL = {"in_plane": 96, "num_slices": 36, "coverage": "full"}

# mL that an adult's organ may have, with room for the coarse grid
PLAUSIBLE = {
    "spleen": (60, 600),
    "right kidney": (70, 330),
    "left kidney": (70, 330),
    "gallbladder": (3, 110),
    "liver": (750, 2700),
    "stomach": (50, 1100),
    "aorta": (25, 220),
    "pancreas": (18, 180),
}


@pytest.fixture(scope="module")
def phantoms():
    return [make_phantom(seed, **SMALL) for seed in range(5)]


def voxels(phantom, organ: str) -> np.ndarray:
    return phantom.labels == SYNAPSE[organ].value


def centroid(phantom, organ: str) -> np.ndarray:
    """Left, posterior, superior mm, from the geometry that is written to files."""
    geometry = phantom.volume.geometry
    index = np.argwhere(voxels(phantom, organ)).mean(0)[::-1]
    direction = np.reshape(geometry.direction, (3, 3))
    return np.asarray(geometry.origin) + direction @ (index * np.asarray(geometry.spacing))


def typical_hu(phantom, organ: str) -> float:
    return float(np.median(phantom.volume.array[voxels(phantom, organ)]))


def test_a_full_abdomen_has_every_organ_in_a_plausible_amount(phantoms):
    for phantom in phantoms:
        milliliter = np.prod(phantom.volume.geometry.spacing) / 1000
        for organ, (low, high) in PLAUSIBLE.items():
            amount = voxels(phantom, organ).sum() * milliliter
            assert low < amount < high, (phantom.volume.name, organ, amount)


def test_organs_lie_where_a_person_has_them(phantoms):
    left, posterior, superior = 0, 1, 2
    for phantom in phantoms:
        at = {organ: centroid(phantom, organ) for organ in SYNAPSE.names}
        assert at["spleen"][left] > at["liver"][left] + 100
        assert at["left kidney"][left] > at["aorta"][left] > at["right kidney"][left]
        assert at["gallbladder"][left] < at["stomach"][left]
        assert at["gallbladder"][superior] < at["liver"][superior]
        assert at["right kidney"][posterior] > at["pancreas"][posterior]
        assert at["stomach"][superior] > at["right kidney"][superior]
        assert at["pancreas"][posterior] < at["aorta"][posterior]


def test_organs_are_tissue_and_lie_inside_the_body(phantoms):
    for phantom in phantoms:
        hu = phantom.volume.array
        solid = np.isin(phantom.labels, [SYNAPSE[n].value for n in ("liver", "spleen", "left kidney", "right kidney")])
        assert np.mean(hu[solid] < -150) < 0.02  # neither lung nor outside air
        assert np.mean(hu[solid] > 400) < 0.01  # nor bone
        assert not phantom.labels[:, [0, -1]].any()  # nothing at the front and back edge of the picture


def test_the_same_seed_gives_the_same_phantom_and_another_seed_another():
    one, again, other = (make_phantom(seed, in_plane=64, num_slices=8) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.volume.array, again.volume.array)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert json.dumps(one.parameters) == json.dumps(again.parameters)  # a record that can be kept
    assert not np.array_equal(one.volume.array, other.volume.array)
    assert not np.array_equal(one.labels, other.labels)


def test_contrast_phases_look_like_themselves():
    phases = {p: make_phantom(3, phase=p, **SMALL) for p in ("none", "arterial", "portal", "late")}
    aorta = {p: typical_hu(phantom, "aorta") for p, phantom in phases.items()}
    assert aorta["none"] < 70 < aorta["late"] < aorta["portal"] < aorta["arterial"]
    assert typical_hu(phases["portal"], "liver") > typical_hu(phases["none"], "liver") + 20
    assert typical_hu(phases["arterial"], "left kidney") > typical_hu(phases["none"], "left kidney") + 50
    assert abs(typical_hu(phases["none"], "gallbladder")) < 40
    assert all(phantom.parameters["phase"] == p for p, phantom in phases.items())


def test_the_asked_grid_is_honoured():
    phantom = make_phantom(1, spacing=(1.5, 2.0, 4.0), size=(150, 96, 9))
    assert phantom.volume.array.shape == phantom.labels.shape == (9, 96, 150)
    assert phantom.volume.array.dtype == np.int16
    assert phantom.labels.dtype == np.uint8
    assert phantom.volume.geometry.spacing == pytest.approx((1.5, 2.0, 4.0))
    assert phantom.volume.geometry.size == (150, 96, 9)


def test_one_slice_is_a_phantom_too():
    assert make_phantom(5, in_plane=64, num_slices=1).labels.shape == (1, 64, 64)


def test_a_small_field_of_view_cuts_the_body_and_a_wide_one_shows_air_around_it():
    tight = make_phantom(2, spacing=(1.5, 1.5, 5.0), size=(96, 96, 6), phase="none").volume.array
    wide = make_phantom(2, spacing=(6.0, 6.0, 5.0), size=(96, 96, 6), phase="none").volume.array
    assert np.mean(tight < -900) < 0.5
    assert np.mean(wide[:, :4] < -900) > 0.95
    assert np.mean(wide[:, :, :4] < -900) > 0.95


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 0, "phase": "delayed"}, "phase"),
        ({"seed": 0, "coverage": "everything"}, "coverage"),
        ({"seed": 0, "num_slices": 0}, "num_slices"),
        ({"seed": 0, "spacing": (1.0, -1.0, 1.0)}, "spacing"),
    ],
)
def test_an_impossible_wish_is_refused_in_words(options, words):
    with pytest.raises(SAMedError, match=words):
        make_phantom(**options)


def test_a_scan_of_the_hips_holds_hardly_any_organ():
    hips = make_phantom(3, in_plane=64, num_slices=8, coverage="hips")
    assert (hips.labels > 0).mean() < 0.01
    assert (hips.volume.array > 300).any()  # bone
    assert hips.parameters["scan"]["coverage"] == "hips"
