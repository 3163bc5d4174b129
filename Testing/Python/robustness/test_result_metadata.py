"""Every file of a result says which model made it, and nothing of the patient."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from made_ct import soft_tissue, write_dicom_series
from SAMedLib.imaging.nifti_extension import read_comment
from SAMedLib.imaging.volume import LABEL_EXTENSIONS, read_labels
from SAMedLib.prepare import main as prepare
from SAMedLib.segment import main as segment

HU = soft_tissue((5, 40, 50))
POSITIONS = [2.5 * k for k in range(5)]
# in every field that may identify somebody
SECRET = "Quxzonderby"
PATIENT = {
    **dict.fromkeys(("PatientName", "OtherPatientNames", "ReferringPhysicianName", "OperatorsName"), f"{SECRET}^Ada"),
    **dict.fromkeys(("PatientID", "AccessionNumber", "StudyID", "InstitutionName", "StudyDescription"), SECRET[:16]),
    **dict.fromkeys(("PatientComments", "PatientAddress", "ImageComments"), SECRET),
}


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    return write_dicom_series(tmp_path_factory.mktemp("dicom") / "series", HU, POSITIONS, **PATIENT)


def record_of(path: Path) -> dict:
    if ".nii" in path.name:
        return json.loads(read_comment(path))
    return json.loads(sitk.ReadImage(str(path)).GetMetaData("SAMed"))


def contents(folder: Path) -> bytes:
    """All bytes below a folder, unpacked ones too, and the names of the files."""
    found = b""
    for path in folder.rglob("*"):
        found += path.name.encode()
        if path.is_file():
            content = path.read_bytes()
            found += content + (gzip.decompress(content) if path.suffix == ".gz" else b"")
            if path.name.endswith("nrrd"):
                image = sitk.ReadImage(str(path))
                found += " ".join(image.GetMetaData(key) for key in image.GetMetaDataKeys()).encode()
    return found


@pytest.mark.parametrize("ending", LABEL_EXTENSIONS)
def test_labels_and_confidence_hold_the_models_metadata_in_every_format(tmp_path, scan, model, ending):
    labels, confidence = tmp_path / f"organs{ending}", tmp_path / f"confidence{ending.replace('.seg', '')}"
    assert segment([str(scan), "-o", str(labels), "--confidence", str(confidence), "--model", str(model)]) == 0
    for path in (labels, confidence):
        record = record_of(path)
        assert record["model"] == "small.safetensors"
        assert record["notice"] == "For research: not a medical device."
        assert record["software"].startswith("SAMedLib ")
        assert record["labels"]["liver"] == 5
        assert {"config", "window", "orientation", "provenance", "demonstration"} <= record["model_metadata"].keys()


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_nifti_with_metadata_is_read_by_others_as_before(tmp_path, scan, model, ending):
    path, plain = tmp_path / f"organs{ending}", tmp_path / "organs.mha"
    for output in (path, plain):
        assert segment([str(scan), "-o", str(output), "--model", str(model)]) == 0
    image = nibabel.load(path)
    assert [extension.get_code() for extension in image.header.extensions] == [6]
    assert np.array_equal(np.asarray(image.dataobj).T, read_labels(plain).array)
    assert np.array_equal(read_labels(path).array, read_labels(plain).array)


def test_tables_say_what_made_them(tmp_path, scan, model):
    for ending in ("json", "csv"):
        options = ["-o", str(tmp_path / "organs.nrrd"), "--table", str(tmp_path / f"table.{ending}")]
        assert segment([str(scan), *options, "--model", str(model)]) == 0
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["model"] == "small.safetensors"
    assert table["model_metadata"]["demonstration"] is False
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["software"].startswith("SAMedLib") and "not a medical device" in row["notice"] for row in rows)


@pytest.mark.parametrize("ending", LABEL_EXTENSIONS)
def test_no_output_and_no_message_names_the_patient(tmp_path, scan, model, ending, capfd):
    output = tmp_path / "out"
    extras = ["--table", str(output / "table.json"), "--overview", str(output / "look.png"), "--events"]
    extras += ["--confidence", str(output / f"sure{ending.replace('.seg', '')}")]
    assert segment([str(scan), "-o", str(output / f"organs{ending}"), *extras, "--model", str(model)]) == 0
    assert prepare(["segmentations", str(scan), str(output / f"organs{ending}"), "-o", str(output / "set"),
                    *([] if ending == ".seg.nrrd" else ["--labels", _all_values()])]) == 0  # fmt: skip
    assert SECRET.encode() not in contents(output)
    assert SECRET not in "".join(capfd.readouterr())


def _all_values() -> str:
    from SAMedLib.organs import SYNAPSE

    return ",".join(f"{label.name}={label.value}" for label in SYNAPSE)


@pytest.mark.parametrize("change", [{"Modality": "MR"}, {"PixelSpacing": [0, 0]}, {"ImagePositionPatient": None}])
def test_no_refusal_names_the_patient(tmp_path, model, change, capfd):
    folder = write_dicom_series(tmp_path / "series", HU, POSITIONS, **PATIENT, **change)
    assert segment([str(folder), "-o", str(tmp_path / "organs.nrrd"), "--model", str(model)]) == 1
    assert SECRET not in "".join(capfd.readouterr())
