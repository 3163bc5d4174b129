"""`python -m SAMedLib.evaluate` on files and on a model: tables, files, and what it refuses to do."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from SAMedLib.evaluate import main
from SAMedLib.imaging.volume import Geometry, write_labels
from SAMedLib.organs import SYNAPSE, LabelSet

GEOMETRY = Geometry((20, 18, 10), (0.8, 0.8, 3.0), (-10.0, 5.0, 30.0), (1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))


def organs(seed=0):
    """[Z, Y, X] with six cubes, the liver the largest."""
    labels = np.zeros((10, 18, 20), np.uint8)
    labels[1:9, 2:9, 2:9] = 5
    labels[2:8, 10:14, 10:14] = 1
    labels[2:5, 2:5, 12:16] = 2
    labels[5:8, 2:5, 12:16] = 3
    labels[0:10, 15:17, 2:4] = 7
    labels[4:6, 11:14, 4:8] = 4
    return np.roll(labels, seed % 3, axis=2)


def write(path: Path, labels, geometry=GEOMETRY, label_set=SYNAPSE):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(path, labels, geometry, label_set)


@pytest.fixture
def folders(tmp_path):
    """Five references, predictions half a centimetre off in another format, and perfect ones."""
    for number in range(5):
        reference = organs(number)
        write(tmp_path / "references" / f"case{number}.nii.gz", reference)
        shifted = np.roll(reference, number % 2 + 1, axis=1)
        if number == 3:
            shifted[shifted == 4] = 0
        write(tmp_path / "shifted" / f"case{number}.nrrd", shifted)
        write(tmp_path / "perfect" / f"case{number}.seg.nrrd", reference)
    return tmp_path


def evaluate(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_folders_in_different_formats_are_scored_as_the_published_script_would(folders, capsys):
    out = folders / "out"
    code, text, _ = evaluate(
        capsys, "--predictions", folders / "shifted", "--references", folders / "references",
        "--csv", out / "a.csv", "--json", out / "a.json",
    )  # fmt: skip
    assert code == 0
    header = next(line for line in text.splitlines() if "DSC %" in line)
    assert header.split()[:5] == ["DSC", "%", "HD95", "voxels", "aorta"]
    assert "Protocol paper" in text
    with open(out / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 * 8
    by_hand = np.array([[float(row["dsc"]) for row in rows if row["organ"] == name] for name in SYNAPSE.names])
    report = json.loads((out / "a.json").read_text())
    assert report["runs"][0]["mean"]["dsc"]["mean"] == pytest.approx(by_hand.mean(axis=1).mean())
    first = report["runs"][0]["cases"][0]
    assert first["files"] == {
        "prediction": str(folders / "shifted" / "case0.nrrd"),
        "reference": str(folders / "references" / "case0.nii.gz"),
    }
    liver = first["organs"][4]
    reference, prediction = organs(0) == 5, np.roll(organs(0) == 5, 1, axis=1)
    assert liver["dsc"] == pytest.approx(2 * (reference & prediction).sum() / (reference.sum() + prediction.sum()))
    assert liver["hd95"] == 1.0
    assert liver["reference_ml"] == pytest.approx(reference.sum() * 0.8 * 0.8 * 3 / 1000)
    worst, wrong = liver["worst_slice"], reference ^ prediction
    x, y, z = worst["voxel"]
    assert wrong[z, y, x]
    assert (worst["slice"], worst["wrong_voxels"]) == (z, wrong[z].sum())
    assert worst["position"] == pytest.approx([-10 + 0.8 * x, 5 - 0.8 * y, 30 + 3 * z])


def test_millimetres_come_with_intervals_and_missing_organs(folders, capsys):
    arguments = ("--predictions", folders / "shifted", "--references", folders / "references", "--protocol", "mm")
    code, text, _ = evaluate(capsys, *arguments, "--json", folders / "a.json")
    assert code == 0
    assert "95 % interval" in text
    assert "organs missed: 1," in text
    run = json.loads((folders / "a.json").read_text())["runs"][0]
    assert run["organs"]["stomach"]["dsc"]["mean"] is None
    assert run["organs"]["gallbladder"]["dsc"]["cases"] == 5
    assert run["organs"]["gallbladder"]["hd95"]["cases"] == 4
    dsc = run["mean"]["dsc"]
    assert dsc["low"] < dsc["mean"] < dsc["high"]
    evaluate(capsys, *arguments, "--json", folders / "b.json")
    assert (folders / "a.json").read_text() == (folders / "b.json").read_text()


def test_two_runs_are_compared_case_by_case_and_the_better_is_marked(folders, capsys):
    code, text, _ = evaluate(
        capsys, "--predictions", f"first={folders / 'shifted'}", "--predictions", f"second={folders / 'perfect'}",
        "--references", folders / "references", "--protocol", "mm", "--json", folders / "a.json",
        "--html", folders / "a.html",
    )  # fmt: skip
    assert code == 0
    assert re.search(r"^second +100\.00\*", text, re.MULTILINE)
    assert "second minus first on 5 common cases" in text
    assert "cannot reach p < 0.05" in text
    report = json.loads((folders / "a.json").read_text())
    means = [run["mean"]["dsc"]["mean"] for run in report["runs"]]
    difference = report["differences"][0]["dsc"]["mean"]
    assert difference["mean"] == pytest.approx(means[1] - means[0])
    assert difference["p"] == pytest.approx(2 / 2**5)  # five pairs, all of one sign
    page = (folders / "a.html").read_text()
    assert "<b>100.00</b>" in page


def test_the_same_evaluation_gives_the_same_page(folders, capsys):
    pages = []
    for name in ("one.html", "two.html"):
        files = ("--predictions", folders / "shifted", "--references", folders / "references", "--html", folders / name)
        assert evaluate(capsys, *files)[0] == 0
        pages.append((folders / name).read_bytes())
    assert pages[0] == pages[1]


def test_the_page_needs_nothing_else_and_shows_the_worst_case_first(folders, capsys):
    code, _, _ = evaluate(
        capsys, "--predictions", folders / "shifted", "--references", folders / "references",
        "--html", folders / "a.html", "--pictures", 2,
    )  # fmt: skip
    assert code == 0
    page = (folders / "a.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "<svg" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    worst = page.index("Worst cases")
    assert page.index("case3", worst) < page.index("case1", worst)  # the one that lost its gallbladder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spacing": (0.8, 0.8, 2.5)}, "spacing 0.8 x 0.8 x 2.5 against 0.8 x 0.8 x 3 mm"),
        ({"origin": (-10.0, 5.0, 33.0)}, "3 mm apart"),
        ({"direction": (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)}, "orientation LPS against LAS"),
        ({"size": (20, 18, 9)}, "size 20 x 18 x 9 against 20 x 18 x 10"),
    ],
)
def test_another_grid_is_refused_and_described(tmp_path, capsys, change, words):
    geometry = Geometry(**{**GEOMETRY.__dict__, **change})
    write(tmp_path / "p.nrrd", organs()[: geometry.size[2]], geometry)
    write(tmp_path / "r.nrrd", organs())
    code, text, error = evaluate(capsys, "--predictions", tmp_path / "p.nrrd", "--references", tmp_path / "r.nrrd")
    assert code == 1
    assert text == ""
    assert words in error
    assert "p.nrrd" in error
    assert "r.nrrd" in error


def test_a_reference_without_a_prediction_is_an_error_unless_common_is_asked_for(folders, capsys):
    (folders / "shifted" / "case4.nrrd").unlink()
    arguments = ("--predictions", folders / "shifted", "--references", folders / "references")
    code, _, error = evaluate(capsys, *arguments)
    assert code == 1
    assert "no prediction for case4" in error
    code, text, error = evaluate(capsys, *arguments, "--common")
    assert code == 0
    assert "without a prediction: case4" in error
    assert "without a prediction: case4" in text


def test_label_sets_that_differ_are_mapped_by_value(tmp_path, capsys):
    """Raw BTCV values, which the published preparation renumbers."""
    table = np.array([0, 1, 2, 3, 4, 6, 7, 8, 11], np.uint8)
    write(tmp_path / "p.nrrd", organs())
    raw = sitk.GetImageFromArray(table[organs()])
    GEOMETRY.apply_to(raw)
    sitk.WriteImage(raw, str(tmp_path / "r.nii.gz"))
    arguments = ("--predictions", tmp_path / "p.nrrd", "--references", tmp_path / "r.nii.gz", "--protocol", "mm")
    btcv = "1=spleen, 2=right kidney, 3=left kidney, 4=gallbladder, 6=liver, 7=stomach, 8=aorta, 11=pancreas"
    code, text, _ = evaluate(capsys, *arguments, "--map", btcv)
    assert code == 0
    assert re.search(r"^p.nrrd +100\.00 ", text, re.MULTILINE)
    assert "6 as liver" in text
    code, _, error = evaluate(capsys, *arguments, "--map", "6=lever")
    assert code == 1
    assert "no organ called 'lever'" in error
    code, _, error = evaluate(capsys, *arguments, "--map", "6")
    assert code == 1
    assert "SOURCE=ORGAN" in error


def test_other_organs_are_evaluated_with_the_values_of_their_dataset(tmp_path, capsys):
    (tmp_path / "lungs.json").write_text('{"name": "chest", "labels": {"background": 0, "lung": 3, "heart": 7}}')
    reference = np.where(organs() == 5, 3, np.where(organs() == 1, 7, 0)).astype(np.uint8)
    prediction = np.where(organs() == 5, 3, 0).astype(np.uint8)
    write(tmp_path / "p.nrrd", prediction)
    write(tmp_path / "r.nrrd", reference)
    code, text, _ = evaluate(
        capsys, "--predictions", tmp_path / "p.nrrd", "--references", tmp_path / "r.nrrd",
        "--labels", tmp_path / "lungs.json",
    )  # fmt: skip
    assert code == 0
    assert re.search(r"DSC % +HD95 voxels +lung +heart", text)
    assert re.search(r"^p.nrrd +50\.00 +0\.00 +100\.00 +0\.00", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"labels": {"lung": 3, "heart": 3}}', "lungs.json gives the value 3 to both"),
        ("[]", "lungs.json: The label set is not readable"),
        ("{", "lungs.json is not readable JSON"),
    ],
)
def test_labels_that_cannot_be_understood_name_their_file(tmp_path, capsys, content, words):
    (tmp_path / "lungs.json").write_text(content)
    write(tmp_path / "r.nrrd", organs())
    files = ("--predictions", tmp_path / "r.nrrd", "--references", tmp_path / "r.nrrd")
    code, _, error = evaluate(capsys, *files, "--labels", tmp_path / "lungs.json")
    assert code == 1
    assert words in error


def test_unknown_values_ask_for_a_map(tmp_path, capsys):
    write(tmp_path / "p.nrrd", organs())
    wide = LabelSet.from_names("wide", [f"organ {number}" for number in range(1, 14)])
    write(tmp_path / "r.nrrd", np.where(organs() == 7, 13, organs()), label_set=wide)
    code, _, error = evaluate(capsys, "--predictions", tmp_path / "p.nrrd", "--references", tmp_path / "r.nrrd")
    assert code == 1
    assert "r.nrrd holds the label 13" in error
    assert "--map VALUE" in error
    code, _, error = evaluate(capsys, "--predictions", tmp_path / "r.nrrd", "--references", tmp_path / "p.nrrd")
    assert code == 1
    assert "--map-predictions VALUE" in error  # --map is for the references and would change nothing


def test_segments_are_matched_by_name_then_by_code_whatever_their_values(tmp_path, capsys):
    other = LabelSet.from_names("other", ["Liver", "body", "SPLEEN", "left_kidney"])
    labels = organs()
    values = np.zeros_like(labels)
    for ours, theirs in ((5, 1), (1, 3), (3, 4), (7, 2)):
        values[labels == ours] = theirs
    write(tmp_path / "p.seg.nrrd", values, label_set=other)
    write(tmp_path / "r.nrrd", np.where(np.isin(labels, (1, 3, 5)), labels, 0))
    code, text, _ = evaluate(
        capsys, "--predictions", tmp_path / "p.seg.nrrd", "--references", tmp_path / "r.nrrd", "--protocol", "mm"
    )
    assert code == 0
    assert re.search(r"^p.seg.nrrd +100\.00 ", text, re.MULTILINE)
    assert "not evaluated: body (2)" in text


def test_segments_are_found_by_code_when_their_names_are_foreign(tmp_path, capsys):
    german = tuple(
        label.__class__(label.value, name, label.color, label.code, label.modifier)
        for label, name in zip(
            SYNAPSE, ("Milz", "Niere R", "Niere L", "Galle", "Leber", "Magen", "Ao", "P"), strict=True
        )
    )
    write(tmp_path / "p.seg.nrrd", organs(), label_set=LabelSet("deutsch", german))
    write(tmp_path / "r.nrrd", organs())
    code, text, _ = evaluate(
        capsys, "--predictions", tmp_path / "p.seg.nrrd", "--references", tmp_path / "r.nrrd", "--protocol", "mm"
    )
    assert code == 0
    assert re.search(r"^p.seg.nrrd +100\.00 ", text, re.MULTILINE)
    assert "Niere L (3) as left kidney" in text


def test_overlapping_segments_in_layers_are_read_and_a_contested_voxel_is_refused(tmp_path, capsys):
    labels = organs()
    layers = np.stack([(labels == 5), (labels == 5) | (labels == 1)]).astype(np.uint8)
    segmentation = {
        "voxels": layers.transpose(0, 3, 2, 1),
        "ijkToLPS": GEOMETRY.ijk_to_lps(),
        "segments": [
            {"id": name, "name": name, "labelValue": 1, "layer": layer}
            for layer, name in enumerate(("liver", "abdomen"))
        ],
    }
    slicerio.write_segmentation(str(tmp_path / "p.seg.nrrd"), segmentation)
    write(tmp_path / "r.nrrd", np.where(labels == 5, 5, 0).astype(np.uint8))
    arguments = ("--predictions", tmp_path / "p.seg.nrrd", "--references", tmp_path / "r.nrrd", "--protocol", "mm")
    code, text, error = evaluate(capsys, *arguments)
    assert (code, error) == (0, "")
    assert re.search(r"^p.seg.nrrd +100\.00 ", text, re.MULTILINE)
    code, _, error = evaluate(capsys, *arguments, "--map-predictions", "liver=liver,abdomen=spleen")
    assert code == 1
    assert "two organs at once" in error


def test_events_carry_progress_and_the_result_and_nothing_else(folders, capfd):
    code = main(["--predictions", str(folders / "shifted"), "--references", str(folders / "references"), "--events"])
    assert code == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {event["event"] for event in events} == {"progress", "result"}
    assert events[-1]["evaluation"]["runs"][0]["organs"]["liver"]["hd95"]["mean"] > 0


def test_a_stop_file_cancels(folders, capsys):
    (folders / "stop").touch()
    code, _, _ = evaluate(
        capsys, "--predictions", folders / "shifted", "--references", folders / "references",
        "--stop-file", folders / "stop", "--csv", folders / "never.csv",
    )  # fmt: skip
    assert code == 130
    assert not (folders / "never.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to evaluate"),
        (("--predictions", "nowhere"), "give --references"),
        (("--predictions", "nowhere", "--references", "nowhere"), "nowhere does not exist"),
        (("--model", "tiny"), "give --data"),
    ],
)
def test_options_that_do_not_fit_together_are_one_sentence(arguments, words, capsys):
    code, _, error = evaluate(capsys, *arguments)
    assert code == 1
    assert words in error
    assert len(error.strip().splitlines()) == 1


def test_a_report_never_replaces_an_input_and_is_refused_before_the_work(folders, capsys):
    reference = folders / "references" / "case0.nii.gz"
    labels = folders / "labels.json"
    labels.write_text(json.dumps(SYNAPSE.to_json()))
    (folders / "taken.csv").mkdir()
    before = [path.read_bytes() for path in (reference, labels)]
    for arguments, words in (
        (("--csv", reference), "end it in .csv"),
        (("--labels", labels, "--json", labels), "would be overwritten"),
        (("--csv", folders / "taken.csv"), "is a folder"),
        (("--html", reference / "page.html"), "is not a folder that you may write to"),
    ):
        code, output, error = evaluate(
            capsys, "--predictions", folders / "shifted", "--references", folders / "references", *arguments
        )
        assert (code, output) == (1, "")
        assert words in error
        assert len(error.strip().splitlines()) == 1
    assert [path.read_bytes() for path in (reference, labels)] == before


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """An untrained network of the embedded model's kind, smaller still."""
    import torch

    from SAMedLib.model import DecoderConfig, EncoderConfig, SAMed, SAMedConfig

    torch.manual_seed(0)
    encoder = EncoderConfig(embed_dim=24, depth=2, num_heads=2, global_attn_indexes=(1,), window_size=4)
    decoder = DecoderConfig(embed_dim=32, depth=1, num_heads=2, mlp_dim=32, iou_hidden_dim=16, mask_in_chans=4)
    model = SAMed(SAMedConfig(encoder=encoder, decoder=decoder, image_size=64, slice_size=64, rank=2))
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    model.save_adapter(path)
    return path


def test_a_model_is_scored_on_a_dataset_folder(small_model, tmp_path, capsys):
    from SAMedLib.data.folders import write_case
    from SAMedLib.imaging.volume import Volume
    from SAMedLib.inference import Segmenter
    from SAMedLib.model import load_model

    generator = np.random.default_rng(0)
    hu = (organs() * 30 - 100 + generator.normal(scale=20, size=organs().shape)).astype(np.int16)
    volume = Volume(hu, GEOMETRY, "a")
    write_case(tmp_path / "data", "a", volume, organs(), SYNAPSE)
    code, text, _ = evaluate(
        capsys, "--model", small_model, "--data", tmp_path / "data", "--device", "cpu",
        "--protocol", "mm", "--json", tmp_path / "a.json", "--html", tmp_path / "a.html",
    )  # fmt: skip
    assert code == 0
    assert "small" in text
    predicted = Segmenter(load_model(small_model), device="cpu").segment(volume)
    found = json.loads((tmp_path / "a.json").read_text())["runs"][0]["cases"][0]["organs"]
    assert [row["predicted_voxels"] for row in found] == [int((predicted == value).sum()) for value in range(1, 9)]
    assert [row["reference_voxels"] for row in found] == [int((organs() == value).sum()) for value in range(1, 9)]
    assert "data:image/png" in (tmp_path / "a.html").read_text()


def test_a_model_is_scored_on_a_prepared_test_set_in_voxels_only(small_model, tmp_path, capsys):
    import h5py

    folder = tmp_path / "test_vol_h5"
    folder.mkdir()
    with h5py.File(folder / "case0001.npy.h5", "w") as file:
        file["image"] = (organs() / 8).astype(np.float32)
        file["label"] = organs().astype(np.float32)
    arguments = ("--model", small_model, "--data", folder, "--device", "cpu")
    code, text, _ = evaluate(capsys, *arguments)
    assert code == 0
    assert "cases: 1;" in text
    code, _, error = evaluate(capsys, *arguments, "--protocol", "mm")
    assert code == 1
    assert "does not keep the voxel spacing" in error


def test_predictions_are_scored_against_a_prepared_test_set(tmp_path, capsys):
    import h5py

    (tmp_path / "test_vol_h5").mkdir()
    with h5py.File(tmp_path / "test_vol_h5" / "case0001.npy.h5", "w") as file:
        file["image"] = np.zeros(organs().shape, np.float32)
        file["label"] = organs().astype(np.float32)
    write(tmp_path / "predictions" / "case0001.nii.gz", organs())
    code, text, _ = evaluate(
        capsys, "--predictions", tmp_path / "predictions", "--references", tmp_path / "test_vol_h5"
    )
    assert code == 0
    # six organs are perfect; the paper's convention scores the two that nobody has with 0
    assert re.search(r"^predictions +75\.00 ", text, re.MULTILINE)


def test_real_labels_against_themselves_are_perfect(shared_data, capsys):
    path = shared_data / "example_ct" / "organs8.nii.gz"
    code, text, _ = evaluate(capsys, "--predictions", path, "--references", path, "--protocol", "mm")
    assert code == 0
    assert re.search(r"^organs8.nii.gz +100\.00 +0\.00 ", text, re.MULTILINE)
