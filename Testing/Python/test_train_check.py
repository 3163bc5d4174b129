"""`samed train --check`: the same data, network and steps as the training would have, and no run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from SAMedLib.data.folders import read_case, write_case
from SAMedLib.errors import Cancelled
from SAMedLib.events import Reporter
from SAMedLib.imaging.volume import Volume
from SAMedLib.organs import LabelSet
from SAMedLib.train import main
from SAMedLib.training import RunFolder, TrainingOptions, pace
from SAMedLib.training.check import check
from SAMedLib.training.preparation import prepare
from training_data import SHAPES, write_network, write_shapes


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(write_network(tmp_path_factory.mktemp("network") / "network.json"))


@pytest.fixture
def options(network):
    """Makes the options of a small training on a dataset folder."""

    def make(data, **changes) -> TrainingOptions:
        small = {"model_size": network, "init": "scratch", "image_size": 64, "slice_size": 64, "device": "cpu"}
        return TrainingOptions(data=str(data), **{**small, "batch_size": 8, "max_steps": 4, **changes})

    return make


def arguments_of(options: TrainingOptions) -> list[str]:
    given = {name: value for name, value in options.to_json().items() if value not in (None, False)}
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]


def files_in(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_it_tells_what_the_training_then_does_and_leaves_nothing_behind(options, tmp_path, capfd):
    data = write_shapes(tmp_path / "data")
    arguments = [*arguments_of(options(data, val_cases="case1")), "--output", str(tmp_path / "run"), "--events"]
    before = files_in(tmp_path)
    assert main([*arguments, "--check"]) == 0
    assert files_in(tmp_path) == before
    result = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert main(arguments) == 0
    recorded = RunFolder(tmp_path / "run").read_config()
    assert result["event"] == "result"
    assert result["cases"] == 4
    assert result["training_cases"] == recorded["data"]["training"]["cases"]
    assert result["validation_cases"] == recorded["data"]["validation"]["cases"] == ["case1"]
    assert result["steps"] == recorded["timetable"]["total_steps"]
    assert result["parts"] == recorded["parts"]
    assert list(result["labels"]) == list(SHAPES.names)
    assert result["labels"]["disc"]["cases"] == 4
    truth = sum(np.count_nonzero(read_case(data, f"case{case}")[1] == 1) for case in range(4))
    assert result["labels"]["disc"]["voxels"] == truth
    assert result["seconds_per_step"] > 0
    assert result["estimated_seconds"] > 4 * result["seconds_per_step"]
    assert result["notes"] == []


def test_a_person_reads_cases_labels_time_and_memory(options, tmp_path, capfd):
    data = write_shapes(tmp_path / "data", cases=3)
    assert main([*arguments_of(options(data, val_cases="case1")), "--check"]) == 0
    said = capfd.readouterr().out
    assert "Training:   2 cases, 12 slices" in said
    assert "Validation: 1 case (case1)" in said
    assert "square  3 cases" in said
    assert "Steps:      4, 2 an epoch" in said
    assert "s a step" in said
    assert "are free" in said


def test_labels_that_cannot_be_learned_or_measured_are_named(options, tmp_path):
    data = tmp_path / "data"
    labels = LabelSet.from_names("more", ["disc", "square", "bar", "tumour"])
    write_shapes(data, cases=4, labels=labels)
    for case in range(1, 4):  # the bar is left in case0 only
        volume, truth = read_case(data, f"case{case}")
        write_case(data, f"case{case}", volume, np.where(truth == 3, 0, truth), labels, overwrite=True)
    found = check(options(data, val_cases="case1"))
    assert found.labels["tumour"].cases == 0
    assert found.labels["bar"].cases == 1
    notes = "\n".join(found.notes)
    assert "No case has tumour: the model cannot learn what it never sees." in notes
    assert "Only one case to train on has bar" in notes
    assert "No validation case has bar" in notes
    assert "Only cases held out for validation have bar" in "\n".join(check(options(data, val_cases="case0")).notes)


def test_every_case_whose_labels_lie_elsewhere_is_named(options, tmp_path, capfd):
    data = write_shapes(tmp_path / "data")
    for case in (1, 3):
        path = next((data / "labelsTr").glob(f"case{case}*"))
        labels = sitk.ReadImage(str(path))
        labels.SetOrigin((5.0, 0.0, 0.0))
        sitk.WriteImage(labels, str(path))
    assert main([*arguments_of(options(data)), "--check"]) == 1
    said = capfd.readouterr().err.strip()
    assert "In 2 of 4 cases" in said
    assert "case1 (origin" in said
    assert "case3 (origin" in said


def test_scans_that_are_no_ct_or_will_be_stretched_are_noted(options, tmp_path):
    data = write_shapes(tmp_path / "data", cases=3)
    volume, truth = read_case(data, "case0")
    write_case(data, "mr", Volume(abs(volume.array), volume.geometry, "mr"), truth, SHAPES)
    narrow = volume.geometry.__class__((64, 40, 6), volume.geometry.spacing)
    write_case(data, "narrow", Volume(volume.array[:, 12:52], narrow, "narrow"), truth[:, 12:52], SHAPES)
    notes = check(options(data)).notes
    assert len(notes) == 2
    assert notes[0].startswith("Case narrow has slices that are not square")
    assert notes[1].startswith("Case mr has no value below 0 HU: an MR image")


@pytest.mark.parametrize("stage", ["comparing grids", "loading slices", "measuring the speed"])
def test_it_can_be_cancelled_at_every_stage(options, tmp_path, stage):
    class StopsAt(Reporter):
        seen = None

        def progress(self, stage, done, total, message=""):
            self.seen = stage
            super().progress(stage, done, total, message)

        @property
        def stop_requested(self):
            return self.seen == stage

    data = write_shapes(tmp_path / "data", cases=2)
    with pytest.raises(Cancelled):
        check(options(data), report=StopsAt(silent=True))


def test_a_long_step_is_measured_in_pieces_and_means_the_same(options, tmp_path, monkeypatch):
    prepared = prepare(options(write_shapes(tmp_path / "data"), max_steps=None, epochs=10, val_cases="case1"))
    whole = pace.measure_pace(prepared)
    monkeypatch.setattr(pace, "_LONGEST_PIECE", 0.0)
    pieces = pace.measure_pace(prepared)
    assert 1 / 50 < whole.step / pieces.step < 50  # of eight slices at once, or one by one; the machine may be busy
    assert whole.of_run(prepared) == pytest.approx(30 * whole.step + 10 * whole.validation)


def test_larger_images_need_more_memory_and_parts_less(options, tmp_path):
    data = write_shapes(tmp_path / "data", cases=2)
    small, large, parted = (
        pace.memory_bytes(prepare(options(data, **changes)))
        for changes in ({}, {"image_size": 128}, {"image_size": 128, "accumulate": 8})
    )
    assert max(small, parted) < large


def test_the_folder_of_a_run_is_refused_as_training_refuses_it(options, tmp_path, capfd):
    data = write_shapes(tmp_path / "data", cases=2)
    arguments = [*arguments_of(options(data, max_steps=1)), "--output", str(tmp_path / "run")]
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 1
    assert "holds a run already" in capfd.readouterr().err
    assert main(["--output", str(tmp_path / "run"), "--resume", "--check"]) == 1
    assert "leave out --resume" in capfd.readouterr().err
