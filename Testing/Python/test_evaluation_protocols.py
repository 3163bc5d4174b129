"""What counts as missing, in which unit, and how cases are averaged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from SAMedLib.errors import SAMedError
from SAMedLib.evaluation import OrganScore, evaluate_case
from SAMedLib.evaluation.cases import Case
from SAMedLib.evaluation.pictures import picture_of
from SAMedLib.evaluation.places import worst_places
from SAMedLib.evaluation.summary import DSC, CaseResult, Run, compare, overall, per_organ, worst_first
from SAMedLib.imaging.orientation import restore
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


def test_the_medpy_engine_scores_the_same_case_alike():
    assert evaluate_case(*case(), SYNAPSE, engine="medpy") == evaluate_case(*case(), SYNAPSE)


def run_of(name, table, cases=None):
    """A run whose organs have these Dice values: rows are cases, columns organs, None is missing."""
    results = []
    for number, row_of_values in enumerate(table):
        scores = [OrganScore(f"organ {i}", value, *[None] * 6, 1, 1, 1.0, 1.0) for i, value in enumerate(row_of_values)]
        results.append(CaseResult(cases[number] if cases else f"case{number}", tuple(scores)))
    return Run(name, tuple(results))


def test_means_are_over_cases_first_and_then_over_organs():
    values = run_of("a", [[0.9, 0.5], [0.7, None], [0.8, None]]).values(DSC)
    assert [one.mean for one in per_organ(values, interval=False)] == pytest.approx([0.8, 0.5])
    assert [one.cases for one in per_organ(values, interval=False)] == [3, 1]
    assert overall(values, interval=False).mean == pytest.approx(0.65)


def test_the_bootstrap_interval_agrees_with_scipys_and_never_changes():
    values = np.random.default_rng(3).beta(8, 2, size=30)
    estimate = overall(values[:, np.newaxis], interval=True)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert estimate.low == pytest.approx(theirs.low, abs=0.08 * width)
    assert estimate.high == pytest.approx(theirs.high, abs=0.08 * width)
    assert overall(values[:, np.newaxis], interval=True) == estimate


def test_a_single_case_has_no_interval_and_nothing_has_no_mean():
    assert overall(np.array([[0.5]]), interval=True).low is None
    assert overall(np.full((3, 2), np.nan), interval=True).mean is None


def test_runs_are_paired_by_case_name_and_by_what_both_have():
    generator = np.random.default_rng(0)
    first = generator.uniform(0.5, 0.9, (8, 2))
    second = first + generator.uniform(-0.02, 0.08, (8, 2))
    table = second.tolist()
    table[2][1] = None
    names = [f"case{number}" for number in range(8)]
    other = run_of("b", [*table[::-1], [0.1, 0.1]], [*names[::-1], "somebody else"])
    found = compare(run_of("a", first.tolist()), other, DSC)
    differences = second - first
    per_case = np.array([differences[i].mean() if i != 2 else differences[i, 0] for i in range(8)])
    assert found.mean.cases == 8
    assert found.mean.mean == pytest.approx(per_case.mean())
    assert found.p == pytest.approx(stats.wilcoxon(per_case).pvalue)
    one_organ = compare(run_of("a", first.tolist()), other, DSC, "organ 1")
    assert one_organ.mean.cases == 7


def test_equal_runs_do_not_differ():
    one = run_of("a", [[0.5, 0.6], [0.7, 0.8]])
    found = compare(one, one, DSC)
    assert (found.mean.mean, found.p) == (0, 1.0)


def test_the_worst_case_comes_first_and_one_without_organs_last():
    one = run_of("a", [[0.9, 0.9], [None, None], [0.2, 0.9]], ["fine", "empty", "bad"])
    other = run_of("b", [[0.1, 0.3], [None, None], [0.9, 0.9]], ["fine", "empty", "bad"])
    assert worst_first([one]) == ["bad", "fine", "empty"]
    assert worst_first([one, other]) == ["fine", "bad", "empty"]


@pytest.mark.parametrize("code", ["LPS", "LAS", "RAS", "SRA", "PIL"])
def test_pictures_are_upright_whatever_the_orientation(code):
    # in LPS order: patient's right and anterior come first, slice 1 from the feet
    reference = np.zeros((3, 6, 8), np.uint8)
    reference[1, 0:2, 0:2] = 5
    prediction = np.zeros_like(reference)
    prediction[1, 0:2, 1:3] = 5
    letters = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    direction = tuple(np.array([letters[letter] for letter in code], float).T.reshape(-1))
    spacing = {"R": 0.5, "L": 0.5, "A": 0.8, "P": 0.8, "S": 3.0, "I": 3.0}
    identity_to_code = [np.ascontiguousarray(restore(labels, direction, "LPS")) for labels in (prediction, reference)]
    stored = Case("a", *identity_to_code, tuple(spacing[letter] for letter in reversed(code)), direction)
    scores = evaluate_case(stored.prediction, stored.reference, SYNAPSE)
    picture = picture_of(stored, scores, worst_places(stored, 8))
    assert picture is not None
    assert (picture.organ, picture.slice_index) == (5, 1)
    np.testing.assert_array_equal(picture.reference, reference[1])
    np.testing.assert_array_equal(picture.prediction, prediction[1])
    assert picture.aspect == pytest.approx(0.8 / 0.5)


@pytest.mark.parametrize("code", ["LPS", "LAS", "RAS", "SRA", "PIL"])
def test_the_worst_slice_of_each_organ_is_found_in_the_grids_own_coordinates(code):
    reference = np.zeros((5, 6, 8), np.uint8)
    reference[1:4, 0:2, 0:2] = 5
    prediction = reference.copy()
    prediction[3, 2:5, 6] = 5  # made up, far off
    prediction[1, 0, 0] = 0
    reference[0:2, 5, 0:4] = prediction[0:2, 5, 0:4] = 7  # faultless, largest in slice 1
    reference[1, 4, 0:2] = prediction[1, 4, 0:2] = 7
    prediction[4, 5, 7] = 1  # spurious
    letters = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    matrix = np.array([letters[letter] for letter in code], float).T
    direction = tuple(matrix.reshape(-1))
    stored = [np.ascontiguousarray(restore(labels, direction, "LPS")) for labels in (prediction, reference)]
    spacing, origin = np.array((0.5, 0.8, 3.0)), np.array((10.0, -20.0, 30.0))
    places = worst_places(Case("a", *stored, tuple(spacing[::-1]), direction, origin=tuple(origin)), 8)

    liver, aorta, spleen = places[4], places[6], places[0]
    assert (liver.slice, liver.wrong_voxels) == (3, 3)
    assert (aorta.slice, aorta.wrong_voxels) == (1, 0)
    assert (spleen.slice, spleen.wrong_voxels) == (4, 1)
    assert places[1] is None
    # the middle one of the three voxels made up
    assert restore(np.arange(240).reshape(5, 6, 8), direction, "LPS")[liver.voxel[::-1]] == (3 * 6 + 3) * 8 + 6
    np.testing.assert_allclose(liver.position, origin + matrix @ (spacing * liver.voxel))


def test_the_worst_slice_has_no_position_where_the_data_tell_none():
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[2, 1:3, 2] = 1
    place = worst_places(Case("a", np.zeros_like(labels), labels), 8)[0]
    assert (place.slice, place.voxel, place.position, place.wrong_voxels) == (2, (2, 1, 2), None, 2)
