"""`samed segment` from the command line: what it writes, what it says, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import slicerio
import torch

from made_ct import OBLIQUE, direction_of, soft_tissue, write_dicom_series, write_dicom_slice, write_image
from SAMedLib.errors import SAMedError
from SAMedLib.imaging.overview import axial_choice, coronal_choice, write_overview
from SAMedLib.imaging.volume import Geometry, Volume, read_labels, read_volume
from SAMedLib.inference import Segmenter
from SAMedLib.model import DecoderConfig, EncoderConfig, SAMed, SAMedConfig, load_model
from SAMedLib.organs import SYNAPSE
from SAMedLib.segment import main

HU = soft_tissue((5, 40, 50))
POSITIONS = [2.5 * k for k in range(5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """The file of a small network with random weights that says it is a demonstration."""
    torch.manual_seed(0)
    network = SAMed(
        SAMedConfig(
            encoder=EncoderConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), window_size=4),
            decoder=DecoderConfig(embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32),
            image_size=64,
            slice_size=48,
            encoder_tuning="full",
            lora_targets=(),
        )
    )
    network.metadata = network.metadata.replace(demonstration=True)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    network.save_adapter(path)
    return str(path)


@pytest.fixture
def scan(tmp_path) -> Path:
    return write_image(tmp_path / "scan.nii.gz", HU, spacing=(0.8, 0.7, 2.5), origin=(9, 8, 7), direction=OBLIQUE)


def test_coded_segments_lie_on_the_scans_grid_and_say_what_made_them(tmp_path, scan, model, capsys):
    output = tmp_path / "out" / "organs.seg.nrrd"
    assert main([str(scan), "-o", str(output), "--model", model]) == 0
    assert read_labels(output).geometry.ijk_to_lps() == pytest.approx(read_volume(scan).geometry.ijk_to_lps())
    assert slicerio.segment_names(slicerio.read_segmentation(str(output))) == list(SYNAPSE.names)
    record = json.loads(sitk.ReadImage(str(output)).GetMetaData("SAMed"))
    assert record["model"] == "small.safetensors"
    assert record["notice"] == "Demonstration model: not for patients."
    assert record["model_metadata"]["demonstration"] is True
    printed = capsys.readouterr().out
    assert all(name in printed for name in SYNAPSE.names)
    assert "not for patients" in printed
    assert os.listdir(output.parent) == ["organs.seg.nrrd"]


def test_nifti_labels_have_the_scans_affine_and_the_notice(tmp_path, scan, model):
    assert main([str(scan), "-o", str(tmp_path / "organs.nii.gz"), "--model", model]) == 0
    labels = nibabel.load(tmp_path / "organs.nii.gz")
    assert np.abs(labels.affine - nibabel.load(scan).affine).max() < 1e-6  # float32 in the file
    assert labels.header["descrip"].item().decode().startswith("Demonstration model: not for patients. SAMed small")


def test_all_outputs_agree(tmp_path, scan, model):
    outputs = {name: tmp_path / f"extra.{name}" for name in ("json", "png", "mha")}
    arguments = ["--table", outputs["json"], "--overview", outputs["png"], "--confidence", outputs["mha"]]
    assert main([str(a) for a in (scan, "-o", tmp_path / "organs.nrrd", "--model", model, *arguments)]) == 0
    labels = read_labels(tmp_path / "organs.nrrd").array
    table = json.loads(outputs["json"].read_text())
    assert table["notice"] == "Demonstration model: not for patients."
    assert [case["case"] for case in table["cases"]] == ["scan"]
    for organ in table["cases"][0]["organs"]:
        assert organ["voxels"] == np.count_nonzero(labels == organ["value"])
        assert organ["ml"] == pytest.approx(organ["voxels"] * 0.8 * 0.7 * 2.5 / 1000)
    confidence = sitk.ReadImage(str(outputs["mha"]))
    assert Geometry.of(confidence) == read_volume(scan).geometry
    values = sitk.GetArrayFromImage(confidence)
    assert ((values >= 0) & (values <= 1)).all()
    assert outputs["png"].read_bytes().startswith(b"\x89PNG")


def test_only_the_organs_asked_for_are_in_the_result(tmp_path, scan, model, capsys):
    everything, chosen = tmp_path / "all.seg.nrrd", tmp_path / "chosen.seg.nrrd"
    main([str(scan), "-o", str(everything), "--model", model])
    capsys.readouterr()
    assert main([str(scan), "-o", str(chosen), "--model", model, "--organs", "Liver, stomach"]) == 0
    labels, kept = read_labels(everything).array, read_labels(chosen).array
    assert np.array_equal(kept, np.where(np.isin(labels, (5, 6)), labels, 0))
    assert slicerio.segment_names(slicerio.read_segmentation(str(chosen))) == ["liver", "stomach"]
    assert "spleen" not in capsys.readouterr().out


def test_a_dicom_folder_gives_a_result_without_the_patients_name(tmp_path, model, capfd):
    folder = write_dicom_series(tmp_path / "series", HU, POSITIONS)
    assert main([str(folder), "-o", str(tmp_path / "organs.seg.nrrd"), "--model", model]) == 0
    assert b"Secret" not in (tmp_path / "organs.seg.nrrd").read_bytes()
    assert "Secret" not in "".join(capfd.readouterr())
    assert read_labels(tmp_path / "organs.seg.nrrd").geometry == read_volume(folder).geometry


def test_a_series_is_chosen(tmp_path, model, capsys):
    folder = write_dicom_series(tmp_path / "study", HU, POSITIONS, prefix="a")
    write_dicom_series(folder, HU[:3], POSITIONS[:3], prefix="b", SeriesInstanceUID="1.2.3.5", SeriesNumber=2)
    command = [str(folder), "-o", str(tmp_path / "organs.mha"), "--model", model]
    assert main(command) == 1
    assert "choose one with --series: 1 (CT, 5 slices of 50 x 40); 2 (CT, 3 slices" in capsys.readouterr().err
    assert main([*command, "--series", "2"]) == 0
    assert read_labels(tmp_path / "organs.mha").geometry.size == (50, 40, 3)


@pytest.fixture
def cohort(tmp_path) -> Path:
    folder = tmp_path / "cohort"
    write_dicom_series(folder / "patient" / "ct", HU, POSITIONS)
    write_image(folder / "b.nii.gz", HU)
    write_image(folder / "a.nrrd", HU, direction=direction_of("RAS"))
    (folder / "readme.txt").write_text("not a scan")
    return folder


def test_a_folder_of_scans_is_segmented_and_resumed(tmp_path, cohort, model, capsys):
    command = [str(cohort), "-o", str(tmp_path / "results"), "--model", model, "--table", str(tmp_path / "all.csv")]
    assert main(command) == 0
    results = sorted((tmp_path / "results").iterdir())
    assert [path.name for path in results] == ["a.seg.nrrd", "b.seg.nrrd", "patient_ct.seg.nrrd"]
    table = (tmp_path / "all.csv").read_text()
    assert [row["case"] for row in csv.DictReader(table.splitlines()) if row["value"] == "1"] == [
        "a",
        "b",
        "patient_ct",
    ]
    results[1].unlink()
    kept = results[0].stat().st_mtime_ns
    capsys.readouterr()
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "a is skipped" in printed.err
    assert "1 segmented, 2 skipped, 0 failed" in printed.out
    assert results[0].stat().st_mtime_ns == kept
    assert (tmp_path / "all.csv").read_text() == table


def test_a_scan_that_fails_does_not_stop_the_others(tmp_path, cohort, model, capsys):
    write_image(cohort / "aa.mha", np.zeros((3, 4, 5), np.int16))
    extras = ["--format", ".nii.gz", "--overview", str(tmp_path / "pictures")]
    assert main([str(cohort), "-o", str(tmp_path / "results"), "--model", model, *extras]) == 1
    assert sorted(os.listdir(tmp_path / "results")) == ["a.nii.gz", "b.nii.gz", "patient_ct.nii.gz"]
    assert sorted(os.listdir(tmp_path / "pictures")) == ["a.png", "b.png", "patient_ct.png"]
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "3 segmented, 0 skipped, 1 failed of 4 scans" in last
    assert "aa.mha is constant" in last


def test_ranks_under_torchrun_share_the_scans(tmp_path, cohort, model, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, names in (("1", ["b.seg.nrrd"]), ("0", ["a.seg.nrrd", "b.seg.nrrd", "patient_ct.seg.nrrd"])):
        monkeypatch.setenv("RANK", rank)
        table = ["--table", str(tmp_path / "t.json")]
        assert main([str(cohort), "-o", str(tmp_path / "results"), "--model", model, *table]) == 0
        assert sorted(os.listdir(tmp_path / "results")) == names
    tables = [json.loads((tmp_path / f"t.rank{rank}.json").read_text())["cases"] for rank in (0, 1)]
    assert [[case["case"] for case in cases] for cases in tables] == [["a", "patient_ct"], ["b"]]


def test_events_are_json_lines_and_nothing_else(tmp_path, scan, model, capfd):
    assert main([str(scan), "-o", str(tmp_path / "o.mha"), "--model", model, "--batch-size", "2", "--events"]) == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [e["done"] for e in events if e["event"] == "progress" and e["stage"] == "segmenting"] == [0, 2, 4, 5]
    assert events[-1]["event"] == "result"
    assert list(events[-1]["volumes_ml"]) == list(SYNAPSE.names)


def test_a_stop_file_cancels_and_leaves_nothing(tmp_path, scan, model):
    (tmp_path / "stop").touch()
    output = tmp_path / "out" / "o.mha"
    arguments = ["--stop-file", str(tmp_path / "stop"), "--model", model]
    assert main([str(scan), "-o", str(output), *arguments]) == 130
    assert not output.parent.exists()


def one_sentence(capsys) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_wrong_requests_are_refused_in_one_sentence_before_any_work(tmp_path, scan, cohort, model, capsys):
    before = scan.read_bytes()
    (tmp_path / "o.d.csv").mkdir()
    for request, answer in (
        (["missing.nii.gz", "-o", "o.mha"], "missing.nii.gz does not exist"),
        ([scan, "-o", "o.stl"], "o.stl has no extension for labels"),
        ([scan, "-o", scan], "is the input and would be overwritten"),
        ([scan, "-o", "o.mha", "--overview", "o.jpg"], "end it in .png"),
        ([scan, "-o", "o.mha", "--table", "o.xlsx"], "end it in .json or .csv"),
        ([scan, "-o", "o.mha", "--table", "o.d.csv"], "is a folder; give the name of a file"),
        ([scan, "-o", "o.mha", "--confidence", "o.mha"], "same name"),
        ([scan, "-o", "o.mha", "--confidence", "o.seg.nrrd"], "write the confidence as .nii.gz"),
        ([scan, "-o", "o.mha", "--organs", "heart"], "no organ called 'heart'"),
        ([scan, "-o", "o.mha", "--device", "abacus"], "no device called 'abacus'"),
        ([scan, "-o", scan / "o.mha"], "is not a folder that you may write to"),
        ([cohort, "-o", "o.mha"], "holds 3 scans; give a folder"),
        ([cohort, "-o", cohort], "holds the input"),
    ):
        arguments = [str(tmp_path / a) if str(a).startswith(("o.", "missing")) else str(a) for a in request]
        assert main([*arguments, "--model", model]) == 1
        assert answer in one_sentence(capsys)
    assert scan.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["cohort", "o.d.csv", "scan.nii.gz"]


def test_inputs_that_are_no_ct_end_in_one_sentence_and_no_output(tmp_path, model, capsys):
    (tmp_path / "text.nrrd").write_text("no image")
    write_dicom_slice(tmp_path / "mr.dcm", HU[0] + 1024, (0, 0, 0), Modality="MR")
    for name, answer in (("text.nrrd", "not an image"), ("mr.dcm", "is MR, not CT")):
        assert main([str(tmp_path / name), "-o", str(tmp_path / "o.mha"), "--model", model]) == 1
        assert answer in one_sentence(capsys)
    assert not (tmp_path / "o.mha").exists()


def test_help_needs_neither_torch_nor_simpleitk():
    code = "import sys, SAMedLib.segment as s; s.parser().format_help(); print({'torch', 'SimpleITK'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_pth_is_taken_at_the_image_size_given_and_what_is_assumed_is_said(tmp_path, scan, capsys):
    """A .pth in the published layout holds no image size: one trained at 64 pixels must not run at 512 in silence."""
    torch.manual_seed(0)
    network = SAMed(SAMedConfig(image_size=64, slice_size=48)).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".b." in name:
                parameter.normal_(std=0.1)
    base = {n: tensor for n, tensor in network.state_dict().items() if ".a." not in n and ".b." not in n}
    torch.save(base, tmp_path / "base.pth")
    network.save_adapter(tmp_path / "epoch_159.pth")
    sized = [tmp_path / "epoch_159.pth", "--base", tmp_path / "base.pth", "--image-size", 64, "--slice-size", 48]
    arguments = [scan, "-o", tmp_path / "out.nii.gz", "--model", *sized]
    assert main([str(argument) for argument in arguments]) == 0
    assert "does not say which image size" not in capsys.readouterr().err
    expected = Segmenter(network, "cpu").segment(read_volume(scan))
    assert np.array_equal(read_labels(tmp_path / "out.nii.gz").array, expected)
    assert np.unique(expected).size > 1
    one_slice = write_image(tmp_path / "slice.nii.gz", HU[:1])
    arguments = [one_slice, "-o", tmp_path / "assumed.nii.gz", "--model", *sized[:3]]
    assert main([str(argument) for argument in arguments]) == 0
    assert "the published 512 is assumed" in capsys.readouterr().err


def test_sizes_for_a_file_that_says_its_own_are_refused(tmp_path, scan, model, capsys):
    assert main([str(scan), "-o", str(tmp_path / "out.nii.gz"), "--model", model, "--image-size", "224"]) == 1
    assert "says itself which sizes it takes" in one_sentence(capsys)


def test_the_overview_shows_slices_through_the_organs(tmp_path):
    labels = np.zeros((30, 20, 20), np.uint8)
    labels[10:14, 5:9, 5:9] = 1
    labels[12:20, 9:12, 12:15] = 5
    chosen = axial_choice(labels)
    assert len(chosen) == 6
    assert chosen == sorted(chosen, reverse=True)
    assert all(labels[index].any() for index in chosen)
    assert any({1, 5} <= set(np.unique(labels[index])) for index in chosen)
    assert labels[:, coronal_choice(labels)].any()
    hu = np.where(labels > 0, 100, -1000).astype(np.int16)
    for part in (slice(0, 30), slice(12, 13), slice(0, 5)):  # all, one slice, no organ
        volume = Volume(hu[part], Geometry((20, 20, len(hu[part])), (1, 1, 4)), "scan")
        write_overview(tmp_path / "o.png", volume, labels[part], SYNAPSE)
        assert (tmp_path / "o.png").stat().st_size > 10_000
    with pytest.raises(SAMedError, match=r"end it in \.png"):
        write_overview(tmp_path / "o.pdf", volume, labels[part], SYNAPSE)


def test_the_embedded_model_finds_the_liver_on_the_right_of_a_real_ct(tmp_path, shared_data):
    try:
        load_model("tiny")
    except SAMedError as error:
        pytest.skip(str(error))
    scan = shared_data / "example_ct" / "ct.nii.gz"
    assert main([str(scan), "-o", str(tmp_path / "organs.nii.gz"), "--keep-largest"]) == 0
    found = read_labels(tmp_path / "organs.nii.gz")
    truth = read_labels(shared_data / "example_ct" / "organs8.nii.gz")
    assert found.geometry == truth.geometry
    middle = {organ: centre_lps(found, SYNAPSE[organ].value) for organ in ("liver", "spleen")}
    assert middle["liver"][0] < middle["spleen"][0]  # x grows to the patient's left
    assert np.abs(middle["liver"] - centre_lps(truth, SYNAPSE["liver"].value)).max() < 60


def centre_lps(labels: Volume, value: int) -> np.ndarray:
    indices = np.argwhere(labels.array == value).mean(axis=0)[::-1]
    return (labels.geometry.ijk_to_lps() @ [*indices, 1])[:3]


def test_the_same_scan_gives_the_same_bytes_whenever_it_is_segmented(tmp_path, scan, model):
    contents = []
    for number in range(2):
        time.sleep(1.1 * number)  # into another second, with which headers may be stamped
        folder = tmp_path / str(number)
        extra = ["--table", folder / "table.csv", "--overview", folder / "overview.png", "--device", "cpu"]
        for name in ("organs.seg.nrrd", "organs.nii.gz", "organs.nrrd", "organs.mha"):
            assert main([str(a) for a in (scan, "-o", folder / name, "--model", model, *extra)]) == 0
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert len(contents[0]) == 6
    assert contents[0] == contents[1]
