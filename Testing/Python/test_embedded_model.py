"""The model that comes along: it runs with nothing downloaded, says what it is, and is as good as its card says."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk

from SAMedLib import demo
from SAMedLib.data.phantom import make_phantom
from SAMedLib.errors import SAMedError
from SAMedLib.evaluation import evaluate_case
from SAMedLib.imaging.volume import read_labels, read_volume
from SAMedLib.inference import Segmenter
from SAMedLib.inference.postprocess import keep_largest
from SAMedLib.model import load_model
from SAMedLib.organs import SYNAPSE
from SAMedLib.weights.store import locate, model_entry


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(load_model("tiny"), device="cpu")


def organ_dice(labels: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    scores = evaluate_case(labels, reference, SYNAPSE, spacing=(1, 1, 1), protocol="mm")
    return {score.organ: score.dsc for score in scores if score.dsc is not None}


def test_it_is_small_and_says_what_it_is(segmenter):
    assert locate(model_entry("tiny").adapter).stat().st_size <= 10_000_000
    metadata = segmenter.model.metadata
    assert metadata.demonstration
    assert metadata.label_set == SYNAPSE
    assert metadata.base is None
    assert all(case.startswith("phantom_") for case in metadata.provenance["data"]["training"]["cases"])


def test_its_name_means_it_even_where_a_folder_is_called_so(tmp_path, monkeypatch):
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_model("tiny").metadata.demonstration
    with pytest.raises(SAMedError, match="give a run folder or a model file"):
        load_model("./tiny")


def test_it_segments_phantoms_that_it_never_saw(segmenter):
    """The card's mean over 20 phantoms is 89.8 %."""
    means = []
    for seed in (100_001, 100_008):
        phantom = make_phantom(seed, in_plane=192, num_slices=20, coverage="full")
        means.append(np.mean(list(organ_dice(segmenter.segment(phantom.volume), phantom.labels).values())))
    assert np.mean(means) > 0.82


def test_a_stride_leaves_slices_of_a_real_ct_out_and_loses_only_specks(segmenter, shared_data):
    scan = read_volume(shared_data / "example_ct" / "ct.nii.gz")
    lower = dataclasses.replace(scan, array=scan.array[:44])  # hips and the lower abdomen
    sparing, slices = Segmenter(segmenter.model, device="cpu", stride=4), []
    logits = sparing.logits
    sparing.logits = lambda images: slices.append(len(images)) or logits(images)
    found, expected = sparing.segment(lower), segmenter.segment(lower)
    differs = found != expected
    assert differs.sum() < 10  # a false piece of two voxels in one slice of the hips
    assert not found[differs].any()
    assert sum(slices) < 0.8 * len(lower.array)


def test_it_finds_liver_and_spleen_in_a_contrast_ct_with_empty_uids(segmenter, shared_data):
    labels = segmenter.segment(read_volume(shared_data / "example_ct_dicom"))
    reference = read_labels(shared_data / "example_ct_dicom_labels" / "organs8.nii.gz").array
    dice = organ_dice(labels, reference)
    assert dice["liver"] > 0.85
    assert dice["spleen"] > 0.75


def test_it_finds_liver_and_kidneys_in_a_plain_ct(segmenter, shared_data):
    scan = read_volume(shared_data / "example_ct" / "ct.nii.gz")
    upper = dataclasses.replace(scan, array=scan.array[48:])
    labels = keep_largest(segmenter.segment(upper))
    reference = read_labels(shared_data / "example_ct" / "organs8.nii.gz").array[48:]
    dice = organ_dice(labels, reference)
    assert dice["liver"] > 0.8
    assert dice["right kidney"] > 0.75


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "LAS", "PIR", "SRP", "IAL"])
def test_left_stays_left_however_a_real_ct_is_stored(segmenter, shared_data, tmp_path, orientation):
    image = sitk.ReadImage(str(shared_data / "example_ct" / "ct.nii.gz"))
    upper = image[:, :, 84:100:3]
    sitk.WriteImage(sitk.DICOMOrient(upper, orientation), str(tmp_path / "ct.nii.gz"))
    volume = read_volume(tmp_path / "ct.nii.gz")
    labels = segmenter.segment(volume)

    def centre(name: str) -> np.ndarray:
        index = np.argwhere(labels == SYNAPSE[name].value).mean(axis=0)[::-1]
        return (volume.geometry.ijk_to_lps() @ [*index, 1.0])[:3]

    assert centre("spleen")[0] > centre("liver")[0] + 100  # LPS: x grows to the patient's left, in mm
    assert centre("left kidney")[0] > centre("right kidney")[0] + 80


def test_the_demo_leaves_a_scan_a_result_and_a_picture(tmp_path, capsys):
    assert demo.main(["--output", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "ct.nii.gz",
        "organs.seg.nrrd",
        "overview.png",
        "reference.seg.nrrd",
    }
    out = capsys.readouterr().out
    assert all(label.name in out for label in SYNAPSE)
    assert "not for patients" in out
    header = sitk.ReadImage(str(tmp_path / "organs.seg.nrrd"))
    assert json.loads(header.GetMetaData("SAMed"))["model"] == "tiny"
    assert sitk.ReadImage(str(tmp_path / "ct.nii.gz")).GetSize() == header.GetSize()
