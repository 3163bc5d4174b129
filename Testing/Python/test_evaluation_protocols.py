"""What counts as missing, in which unit, and how cases are averaged."""

from __future__ import annotations

import numpy as np
import pytest

from SAMedLib.errors import SAMedError
from SAMedLib.evaluation import evaluate_case
from SAMedLib.organs import SYNAPSE


def case():
    """Prediction and reference with one organ of every kind of presence."""
    reference = np.zeros((6, 10, 10), np.uint8)
    prediction = np.zeros_like(reference)
    reference[1:3, 2:8, 2:8] = prediction[1:3, 2:8, 3:9] = 1  # the spleen, one voxel off
    reference[4, 2:5, 2:5] = 4  # the gallbladder is missed
    prediction[5, 6:9, 6:9] = 8  # the pancreas is made up
    return prediction, reference


def row(rows, organ):
    return next(one for one in rows if one.organ == organ)


def test_paper_scores_empties_as_the_published_script_does():
    rows = evaluate_case(*case(), SYNAPSE, protocol="paper")
    assert [one.organ for one in rows] == list(SYNAPSE.names)
    assert (row(rows, "spleen").dsc, row(rows, "spleen").hd95) == (5 / 6, 1.0)
    assert (row(rows, "pancreas").dsc, row(rows, "pancreas").hd95) == (1, 0)
    assert (row(rows, "gallbladder").dsc, row(rows, "gallbladder").hd95) == (0, 0)
    assert (row(rows, "liver").dsc, row(rows, "liver").hd95) == (0, 0)


def test_mm_scores_no_organ_that_the_reference_lacks():
    rows = evaluate_case(*case(), SYNAPSE, spacing=(5.0, 1.0, 0.5), protocol="mm")
    spleen = row(rows, "spleen")
    assert spleen.presence == "found"
    assert spleen.hd95 == 0.5  # one voxel along x
    assert spleen.reference_ml == pytest.approx(72 * 2.5 / 1000)
    assert spleen.volume_difference == 0
    for organ, presence in (("pancreas", "spurious"), ("liver", "absent")):
        one = row(rows, organ)
        assert one.presence == presence
        assert one.dsc is one.hd95 is one.hd is one.assd is one.nsd is one.sensitivity is one.precision is None
    assert row(rows, "pancreas").predicted_ml > 0


def test_mm_does_not_hide_an_organ_that_was_missed():
    gallbladder = row(evaluate_case(*case(), SYNAPSE, spacing=(5.0, 1.0, 0.5), protocol="mm"), "gallbladder")
    assert gallbladder.presence == "missed"
    assert gallbladder.dsc == gallbladder.sensitivity == gallbladder.nsd == 0
    assert gallbladder.hd95 is gallbladder.hd is gallbladder.assd is gallbladder.precision is None
    assert gallbladder.volume_difference == -1
    assert gallbladder.volume_difference_ml == pytest.approx(-9 * 2.5 / 1000)


def test_paper_measures_in_voxels_even_when_the_spacing_is_known():
    with_spacing = row(evaluate_case(*case(), SYNAPSE, spacing=(5.0, 1.0, 0.5)), "spleen")
    without = row(evaluate_case(*case(), SYNAPSE), "spleen")
    assert with_spacing.hd95 == without.hd95 == 1.0
    assert with_spacing.reference_ml == pytest.approx(0.18)
    assert without.reference_ml is None


def test_mm_asks_for_the_spacing():
    with pytest.raises(SAMedError, match="needs the voxel spacing"):
        evaluate_case(*case(), SYNAPSE, protocol="mm")


def test_an_unknown_protocol_is_answered_with_the_known_ones():
    with pytest.raises(SAMedError, match="paper, mm"):
        evaluate_case(*case(), SYNAPSE, protocol="miccai")
