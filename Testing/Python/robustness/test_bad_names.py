"""Names that are no text, forge a message, are too long or lead elsewhere: refused, and shown as they are."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

from made_ct import soft_tissue, write_dicom_series, write_image
from SAMedLib.prepare import main as prepare
from SAMedLib.segment import main as segment
from SAMedLib.train import main as train
from training_data import write_shapes

HU = soft_tissue((3, 20, 24))
no_text = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are always text here")


def segmenting(trial, model, *more):
    return [write_image(trial.inputs / "scan.nrrd", HU), "-o", trial.output / "organs.nrrd", "--model", model, *more]


@no_text
@pytest.mark.parametrize("more", [(), ("--events",)])
def test_a_file_whose_name_is_no_text_is_refused(trial, model, more):
    path = write_image(trial.inputs / "scan.nii.gz", HU).rename(trial.inputs / "scan \udcff.nii.gz")
    arguments = [path, "-o", trial.output / "organs.nrrd", "--model", model, *more]
    trial.refuse(segment, arguments, r"scan \udcff.nii.gz", "rename")


@no_text
def test_an_output_whose_name_is_no_text_is_refused(trial, model):
    arguments = segmenting(trial, model)
    arguments[2] = trial.output / "\udcff.nrrd"
    trial.refuse(segment, arguments, r"\udcff.nrrd", "rename")


@no_text
@pytest.mark.parametrize("kind", ["file", "slice"])
def test_a_name_that_is_no_text_within_a_folder_is_refused(trial, model, kind):
    folder = trial.inputs / "scans"
    if kind == "slice":
        write_dicom_series(folder, HU, [0.0, 3.0, 6.0])
        next(folder.iterdir()).rename(folder / "\udcff.dcm")
    else:
        folder.mkdir()
        write_image(folder / "scan.nrrd", HU).rename(folder / "\udcff.nrrd")
    code, said = trial.run(segment, [folder, "-o", trial.output / "results", "--model", model])
    assert code == 1
    assert r"\udcff" in said.splitlines()[-1]
    assert "rename it" in said
    assert not trial.output.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no control characters in names here")
def test_control_characters_in_a_name_do_not_reach_the_terminal(trial, model):
    path = trial.inputs / "a\nDone.\x1b[2J.nii.gz"
    path.write_bytes(b"text")
    said = trial.refuse(segment, [path, "-o", trial.output / "organs.nrrd", "--model", model], r"a\nDone.\x1b[2J.nii")
    assert "\x1b" not in said


def test_an_output_with_too_long_a_name_is_refused_before_the_work(trial, model):
    arguments = segmenting(trial, model)
    arguments[2] = trial.output / f"{'n' * 252}.nrrd"
    trial.refuse(segment, arguments, "nnn", "too long")


@pytest.mark.parametrize("option", ["--overview", "--confidence", "--table"])
def test_every_output_with_too_long_a_name_is_refused_before_the_work(trial, model, option):
    ending = {"--overview": ".png", "--confidence": ".nrrd", "--table": ".json"}[option]
    trial.refuse(segment, segmenting(trial, model, option, trial.output / f"{'n' * 260}{ending}"), "nnn", "too long")


@pytest.mark.parametrize("name", ["--data", "--val-data", "--output", "--start"])
@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_recipe_whose_names_are_no_text_is_refused(trial, name, text):
    recipe = trial.inputs / "recipe.json"
    recipe.write_text(json.dumps({name[2:]: text}))
    data = write_shapes(trial.inputs / "data", cases=1)
    given = {"--data": data, "--output": trial.output / "run", "--config": recipe}
    given.pop(name, None)
    arguments = [part for option, value in given.items() for part in (option, value)]
    trial.refuse(train, arguments, name[2:], "not valid text")


def test_a_result_never_replaces_a_slice_of_its_scan(trial, model):
    folder = write_dicom_series(trial.inputs / "scan", HU, [0.0, 3.0, 6.0])
    part = sorted(folder.iterdir())[1].rename(folder / "002.nrrd")
    trial.refuse(segment, [folder, "-o", part, "--model", model], "002.nrrd", "overwritten")


def test_a_run_never_goes_into_the_folder_of_its_data(trial):
    data = write_shapes(trial.inputs / "data", cases=1)
    trial.refuse(train, ["--data", data, "--output", data, "--init", "scratch"], str(data), "--output")


@pytest.mark.parametrize("ending", ["/../../../escaped.nii.gz", ".png", 3, ".seg.nrrd", ["x"]])
def test_a_dataset_whose_endings_are_none_is_not_added_to(trial, ending):
    for kind, array in (("scans", HU), ("labels", (HU > 40).astype(np.uint8))):
        (trial.inputs / kind).mkdir()
        write_image(trial.inputs / kind / "a.nii.gz", array)
    dataset = trial.inputs / "dataset"
    dataset.mkdir()
    (dataset / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "a": 1}, "file_ending": ending}))
    arguments = ["segmentations", trial.inputs / "scans", trial.inputs / "labels", "-o", dataset, "--labels", "a=1"]
    trial.refuse(prepare, arguments, "dataset.json", "file_ending")
    assert not list(trial.inputs.parent.parent.rglob("escaped*"))


OUTSIDE = [
    {"training": [{"image": "../elsewhere.nii.gz", "label": "labelsTr/case0.nii.gz"}]},
    {"training": [{"image": "imagesTr/case0_0000.nii.gz", "label": "/etc/passwd"}]},
    {"dataset": {"../case": {"images": ["imagesTr/case0_0000.nii.gz"], "label": "labelsTr/case0.nii.gz"}}},
    {"dataset": {"a\\b": {"images": ["imagesTr/case0_0000.nii.gz"], "label": "labelsTr/case0.nii.gz"}}},
]


@pytest.mark.parametrize("changes", OUTSIDE)
def test_a_dataset_does_not_lead_out_of_its_folder(trial, changes):
    data = write_shapes(trial.inputs / "data", cases=1)
    write_image(trial.inputs / "elsewhere.nii.gz", HU)
    index = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**index, **changes}))
    trial.refuse(train, ["--data", data, "--output", trial.output, "--init", "scratch"], "dataset.json")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no devices here")
def test_a_device_is_no_scan(trial, model):
    trial.refuse(segment, ["/dev/zero", "-o", trial.output / "organs.nrrd", "--model", model], "/dev/zero", "neither")
