"""`samed prepare`: what a user gets from it, and what they are told when it cannot work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import slicerio

from SAMedLib.data.folders import label_set_of, list_cases, read_case
from SAMedLib.data.phantom import make_phantom
from SAMedLib.data.phantom_cases import write_phantoms
from SAMedLib.errors import Cancelled
from SAMedLib.events import Reporter
from SAMedLib.imaging.volume import Geometry, write_array, write_labels
from SAMedLib.organs import SYNAPSE, LabelSet
from SAMedLib.prepare import main

SHAPE = (6, 14, 16)  # Z, Y, X
GEOMETRY = Geometry(SHAPE[::-1], (0.8, 0.8, 2.0), (10.0, -20.0, 30.0))


def hounsfield(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype(np.int16)


def boxes(*values: int) -> np.ndarray:
    """Labels with a box for each value."""
    labels = np.zeros(SHAPE, np.uint8)
    for number, value in enumerate(values):
        labels[1:4, 2:6, 1 + 5 * number : 5 + 5 * number] = value
    return labels


@pytest.fixture
def scans(tmp_path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number, name in enumerate(("anna.nii.gz", "bob_0000.nrrd", "cleo.nii.gz")):
        write_array(folder / name, hounsfield(number), GEOMETRY)
    return folder


@pytest.fixture
def segmentations(tmp_path) -> Path:
    folder = tmp_path / "segmentations"
    folder.mkdir()
    return folder


def run_failing(capfd, *argv) -> str:
    """Run, expect a failure, return its sentence."""
    assert main([str(a) for a in argv]) == 1
    lines = capfd.readouterr().err.strip().splitlines()
    assert lines[-1].endswith(".")
    return lines[-1]


def run(*argv) -> None:
    assert main([str(a) for a in argv]) == 0


def write_layers(path: Path, layers: dict[str, np.ndarray], geometry: Geometry = GEOMETRY) -> None:
    """A .seg.nrrd in which every segment has a layer of its own, as overlapping segments have in 3D Slicer."""
    voxels = np.stack([mask.transpose(2, 1, 0).astype(np.uint8) for mask in layers.values()])
    segments = [
        {"id": f"S{i}", "name": name, "color": [1.0, 0.0, 0.0], "labelValue": 1, "layer": i}
        for i, name in enumerate(layers)
    ]
    slicerio.write_segmentation(str(path), {"voxels": voxels, "ijkToLPS": geometry.ijk_to_lps(), "segments": segments})


def test_label_files_become_a_dataset_by_the_names_that_are_given(scans, segmentations, tmp_path):
    write_array(segmentations / "anna_seg.nii.gz", boxes(3, 7), GEOMETRY)
    write_array(segmentations / "bob.nii.gz", boxes(7), GEOMETRY)
    run("segmentations", scans, segmentations, "-o", tmp_path / "data", "--labels", "spleen=7,liver=3")
    assert label_set_of(tmp_path / "data").names == ("liver", "spleen")
    assert list_cases(tmp_path / "data") == ["anna", "bob"]
    volume, labels = read_case(tmp_path / "data", "anna")
    np.testing.assert_array_equal(volume.array, hounsfield(0))
    np.testing.assert_array_equal(labels, boxes(1, 2))
    np.testing.assert_array_equal(read_case(tmp_path / "data", "bob")[1], boxes(2))


def test_slicer_segmentations_are_read_by_segment_name(scans, segmentations, tmp_path):
    write_labels(segmentations / "anna.seg.nrrd", boxes(5, 1), GEOMETRY, SYNAPSE, present=["liver", "spleen"])
    other = LabelSet.from_names("other", ["Tumor", "LIVER"])
    write_labels(segmentations / "bob-segmentation.seg.nrrd", boxes(2, 1), GEOMETRY, other)
    run("segmentations", scans, segmentations, "-o", tmp_path / "data")
    assert label_set_of(tmp_path / "data").names == ("spleen", "liver", "Tumor")
    np.testing.assert_array_equal(read_case(tmp_path / "data", "anna")[1], boxes(2, 1))
    np.testing.assert_array_equal(read_case(tmp_path / "data", "bob")[1], boxes(2, 3))


def test_only_the_organs_that_are_asked_for_are_taken(scans, segmentations, tmp_path, capfd):
    write_labels(segmentations / "anna.seg.nrrd", boxes(5, 1), GEOMETRY, SYNAPSE, present=["liver", "spleen"])
    run("segmentations", scans, segmentations, "-o", tmp_path / "data", "--labels", "liver")
    np.testing.assert_array_equal(read_case(tmp_path / "data", "anna")[1], boxes(1, 0))
    assert "left out spleen" in capfd.readouterr().err


def test_overlapping_segments_are_merged_and_said(scans, segmentations, tmp_path, capfd):
    first, second = boxes(1) > 0, np.roll(boxes(1), 2, axis=2) > 0
    write_layers(segmentations / "cleo.seg.nrrd", {"liver": first, "tumor": second})
    run("segmentations", scans, segmentations, "-o", tmp_path / "data")
    labels = read_case(tmp_path / "data", "cleo")[1]
    np.testing.assert_array_equal(labels == 2, second)
    np.testing.assert_array_equal(labels == 1, first & ~second)
    assert f"{np.count_nonzero(first & second)} voxels lie in two segments" in capfd.readouterr().err


def test_a_segmentation_that_covers_a_part_of_the_scan_lands_in_its_place(scans, segmentations, tmp_path):
    labels = boxes(1)
    origin = GEOMETRY.ijk_to_lps() @ (1, 2, 1, 1)
    part = Geometry((4, 4, 3), GEOMETRY.spacing, tuple(origin[:3]))
    write_layers(segmentations / "anna.seg.nrrd", {"liver": labels[1:4, 2:6, 1:5] > 0}, part)
    run("segmentations", scans, segmentations, "-o", tmp_path / "data")
    np.testing.assert_array_equal(read_case(tmp_path / "data", "anna")[1], labels)


def test_one_scan_and_one_segmentation_need_no_common_name(scans, segmentations, tmp_path):
    write_labels(segmentations / "Segmentation.seg.nrrd", boxes(5), GEOMETRY, SYNAPSE, present=["liver"])
    run("segmentations", scans / "cleo.nii.gz", segmentations / "Segmentation.seg.nrrd", "-o", tmp_path / "data")
    assert list_cases(tmp_path / "data") == ["cleo"]


def test_scans_and_segmentations_may_lie_in_one_folder(scans, tmp_path):
    write_array(scans / "anna_label.nii.gz", boxes(1), GEOMETRY)
    write_labels(scans / "bob.seg.nrrd", boxes(5), GEOMETRY, SYNAPSE, present=["liver"])
    run("segmentations", scans, scans, "-o", tmp_path / "data", "--labels", "liver=1")
    assert list_cases(tmp_path / "data") == ["anna", "bob"]


def test_a_dicom_folder_is_a_scan(shared_data, tmp_path):
    labels = nibabel.load(shared_data / "example_ct_dicom_labels/organs8.nii.gz")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "patient").symlink_to(shared_data / "example_ct_dicom", target_is_directory=True)
    (tmp_path / "labels").mkdir()
    nibabel.save(labels, tmp_path / "labels" / "patient.nii.gz")
    names = ",".join(f"{label.name}={label.value}" for label in SYNAPSE)
    run("segmentations", tmp_path / "scans", tmp_path / "labels", "-o", tmp_path / "data", "--labels", names)
    _, read = read_case(tmp_path / "data", "patient")
    counts = np.bincount(labels.get_fdata().astype(int).ravel(), minlength=9)
    np.testing.assert_array_equal(np.bincount(read.ravel(), minlength=9), counts)


def test_running_again_adds_only_new_cases(scans, segmentations, tmp_path, capfd):
    write_array(segmentations / "anna.nii.gz", boxes(1), GEOMETRY)
    arguments = ("segmentations", scans, segmentations, "-o", tmp_path / "data")
    run(*arguments, "--labels", "liver=1")
    write_array(segmentations / "bob.nii.gz", boxes(1), GEOMETRY)
    capfd.readouterr()
    run(*arguments)  # the dataset knows its labels by now
    captured = capfd.readouterr()
    assert "1 cases added" in captured.out
    assert "already holds anna" in captured.err
    assert list_cases(tmp_path / "data") == ["anna", "bob"]


def test_what_does_not_pair_or_fit_ends_in_a_sentence(scans, segmentations, tmp_path, capfd):
    command = ("segmentations", scans, segmentations, "-o", tmp_path / "data")
    assert "No segmentation is named like a scan" in run_failing(capfd, *command)
    write_array(segmentations / "anna.nii.gz", boxes(1, 2), GEOMETRY)
    assert "--labels liver=1" in run_failing(capfd, *command)
    assert "holds the value 2" in run_failing(capfd, *command, "--labels", "liver=1")
    assert "give spleen its value" in run_failing(capfd, *command, "--labels", "liver=1,spleen")
    assert "not understood" in run_failing(capfd, *command, "--labels", "liver=one")
    assert "its own value" in run_failing(capfd, *command, "--labels", "liver=1,spleen=1")
    write_array(segmentations / "anna_seg.nii.gz", boxes(1), GEOMETRY)
    assert "two segmentations" in run_failing(capfd, *command, "--labels", "liver=1")
    (segmentations / "anna_seg.nii.gz").unlink()
    write_array(segmentations / "anna.nii.gz", boxes(1), Geometry(GEOMETRY.size, (1.0, 1.0, 1.0)))
    assert "anna.nii.gz does not lie on the grid" in run_failing(capfd, *command, "--labels", "liver=1")
    assert not list((tmp_path / "data").glob("*Tr/*"))
    assert "does not exist" in run_failing(capfd, "segmentations", scans, tmp_path / "none", "-o", tmp_path / "data")


def test_damaged_or_misplaced_segmentations_end_in_a_sentence(scans, segmentations, tmp_path, capfd):
    command = ("segmentations", scans, segmentations, "-o", tmp_path / "data")
    path = segmentations / "anna.seg.nrrd"
    path.write_bytes(b"NRRD0004\nno header")
    assert "anna.seg.nrrd is damaged" in run_failing(capfd, *command)
    far = Geometry(GEOMETRY.size, GEOMETRY.spacing, (900.0, 0.0, 0.0))
    write_labels(path, boxes(5), far, SYNAPSE, present=["liver"])
    assert "outside its scan" in run_failing(capfd, *command)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 20])
    assert "anna.seg.nrrd is damaged" in run_failing(capfd, *command)


def test_processes_make_the_phantoms_that_their_seeds_stand_for(tmp_path):
    run("phantoms", "-o", tmp_path / "data", "--cases", 2, "--seed", 3, "--in-plane", 24, "--workers", 2)
    assert list_cases(tmp_path / "data") == ["phantom_00003", "phantom_00004"]
    assert label_set_of(tmp_path / "data").names == SYNAPSE.names
    scan, labels = read_case(tmp_path / "data", "phantom_00004")
    phantom = make_phantom(4, in_plane=24)
    np.testing.assert_array_equal(scan.array, phantom.volume.array)
    np.testing.assert_array_equal(labels, phantom.labels)
    np.testing.assert_allclose(scan.geometry.origin, phantom.volume.geometry.origin, atol=1e-3)


def test_phantoms_that_are_there_are_not_made_again(tmp_path, capfd):
    options = ("phantoms", "-o", tmp_path / "data", "--in-plane", 24, "--workers", 1)
    run(*options, "--cases", 1)
    path = tmp_path / "data/imagesTr/phantom_00000_0000.nii.gz"
    before = path.stat().st_mtime_ns
    run(*options, "--cases", 2)
    assert path.stat().st_mtime_ns == before
    assert "1 phantoms made, 1 were there" in capfd.readouterr().out
    assert json.loads((tmp_path / "data/dataset.json").read_text())["numTraining"] == 2
    assert "it must be at least 1" in run_failing(capfd, *options, "--cases", 0)


def test_what_fails_before_the_first_case_leaves_no_dataset(scans, segmentations, tmp_path, capfd):
    (segmentations / "anna.nii.gz").write_bytes(b"no image")
    data = tmp_path / "data"
    command = ("segmentations", scans, segmentations, "-o", data, "--labels", "liver=1")
    assert "anna.nii.gz is not an image" in run_failing(capfd, *command)
    for option in ("--in-plane", "--slices"):
        assert "is 0; it must be at least 1" in run_failing(capfd, "phantoms", "-o", data, option, 0)
    assert not data.exists()


def test_stopping_leaves_a_dataset_that_can_be_continued(tmp_path, capfd):
    stop = tmp_path / "stop"
    stop.touch()
    options = ["phantoms", "-o", str(tmp_path / "data"), "--in-plane", "24", "--workers", "1", "--cases", "1"]
    assert main([*options, "--stop-file", str(stop)]) == 130
    stop.unlink()
    assert main(options) == 0
    assert list_cases(tmp_path / "data") == ["phantom_00000"]


def test_stopping_leaves_out_what_no_process_has_begun(tmp_path):
    class StopAtFirst(Reporter):
        def progress(self, stage, done, total, message=""):
            if done:
                raise Cancelled

    with pytest.raises(Cancelled):
        write_phantoms(tmp_path / "data", 40, in_plane=24, num_slices=4, workers=2, report=StopAtFirst(silent=True))
    assert 1 <= len(list_cases(tmp_path / "data")) <= 3  # each process ends what it is at


@pytest.mark.parametrize("where", ["before", "after"])
def test_events_are_json_lines_wherever_the_option_stands(scans, segmentations, tmp_path, where):
    write_array(segmentations / "anna.nii.gz", boxes(1), GEOMETRY)
    kind = ["segmentations", scans, segmentations, "-o", tmp_path / "data", "--labels", "liver=1"]
    argv = ["--events", *kind] if where == "before" else [*kind, "--events"]
    done = subprocess.run([sys.executable, "-m", "SAMedLib.prepare", *argv], capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["done"] for event in events if event["event"] == "progress"] == [0, 1]
    assert events[-1] == {"event": "result", "output": str(tmp_path / "data"), "added": ["anna"]}


def test_help_needs_no_heavy_library():
    code = "import sys; from SAMedLib.prepare import main\ntry: main(['phantoms', '--help'])\nexcept SystemExit: pass\n"
    check = code + "assert not {'torch', 'scipy', 'SimpleITK', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_a_missing_kind_is_a_wrong_argument(capfd):
    with pytest.raises(SystemExit) as exit_:
        main([])
    assert exit_.value.code == 2
