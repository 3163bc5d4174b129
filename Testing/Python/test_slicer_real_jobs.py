"""Jobs of the panel with the library's own commands: cancelled at every stage, killed, left running and found again."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from hostile_children import wait_for
from SAMedLib.data.phantom import make_phantom
from SAMedLib.imaging.volume import read_labels, write_array
from SAMedLib.training.run_folder import RunFolder
from SAMedSlicerLib.ChildPython import ChildPython
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobMonitor import JobMonitor
from slicer_host import processEvents
from training_data import write_network, write_shapes

PATIENCE_S = 200  # a busy computer needs a minute to import torch


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "Ärzte & Söhne.nrrd"
    volume = make_phantom(200_004, coverage="full", spacing=(6.0, 6.0, 8.0), in_plane=64).volume
    write_array(path, volume.array, volume.geometry)
    return path


def segmentation(scan: Path, folder: Path) -> tuple[Job, Path]:
    output = folder / "results of today" / "organs.nrrd"
    output.parent.mkdir(parents=True)
    command = ["segment", str(scan), "-o", str(output), "--batch-size", "8", "--device", "cpu"]
    return Job(folder / "job", command, ChildPython(environment={"OMP_NUM_THREADS": "1"})), output


def follow(job: Job, atStage: str = "", atEnd: bool = False) -> tuple[list[dict], list[Job]]:
    """Watch a job with a monitor; press Cancel when a stage begins, or when it is done."""
    import qt

    events, finished = [], []

    def onEvent(event: dict) -> None:
        events.append(event)
        if event.get("stage") == atStage and (event["done"] == event["total"]) == atEnd:
            monitor.cancel()

    monitor = JobMonitor(qt.QTimer(), onEvent, finished.append, interval_ms=5)
    job.start()
    monitor.watch(job)
    processEvents(lambda: finished, PATIENCE_S)
    return events, finished


def test_a_scan_is_segmented_by_a_child(scan, tmp_path):
    job, output = segmentation(scan, tmp_path)
    events, finished = follow(job)
    assert finished == [job]
    assert job.lastWords() == ""
    assert job.returnCode == 0
    stages = list(dict.fromkeys(event["stage"] for event in events if event["event"] == "progress"))
    assert stages == ["loading the model", "reading", "segmenting", "writing"]
    assert events[-1]["event"] == "result"
    assert np.count_nonzero(read_labels(output).array == 5) > 100  # the liver


@pytest.mark.parametrize(
    ("stage", "atEnd"),
    [("loading the model", False), ("segmenting", False), ("segmenting", True)],
)
def test_cancel_at_any_stage_leaves_nothing_behind(scan, tmp_path, stage, atEnd):
    job, output = segmentation(scan, tmp_path)
    _, finished = follow(job, stage, atEnd)
    assert finished == [job]
    if atEnd and job.succeeded:  # a moment too late: then all of it is there
        assert read_labels(output).array.any()
        output.unlink()
    else:
        assert job.cancelled
        assert job.lastWords() == "Cancelled."
    assert os.listdir(output.parent) == []
    assert sorted(os.listdir(job.folder)) == ["events.jsonl", "job.json", "messages.txt", "stop"]


@pytest.mark.parametrize("stage", ["", "loading the model", "segmenting"])
def test_a_killed_segmentation_leaves_no_half_result_and_a_sentence(scan, tmp_path, stage):
    job, output = segmentation(scan, tmp_path)
    job.start()
    events: list[dict] = []
    wait_for(lambda: events.extend(job.poll()) or not stage or stage in [e.get("stage") for e in events], PATIENCE_S)
    time.sleep(random.uniform(0, 0.2))
    job.terminate(force=True)
    wait_for(lambda: not job.running)
    assert os.listdir(output.parent) == []
    assert job.lastWords().startswith("The segmentation was ended by the system (exit code -9)")


def test_a_training_is_left_running_found_again_and_stopped_with_all_of_it_saved(tmp_path):
    dataset, network = write_shapes(tmp_path / "data"), write_network(tmp_path / "network.json")
    run = RunFolder(tmp_path / "run")
    command = ["train", "--data", dataset, "--output", run.path, "--model-size", network, "--init", "scratch"]
    command += ["--image-size", "64", "--slice-size", "64", "--batch-size", "4", "--epochs", "2000", "--device", "cpu"]
    folder = run.path / "job"
    Job(folder, command, ChildPython(environment={"OMP_NUM_THREADS": "1"}), detached=True).start()
    job = Job.find(folder)
    events: list[dict] = []
    try:
        wait_for(lambda: events.extend(job.poll()) or [e for e in events if e.get("step", 0) > 10], PATIENCE_S)
        job.requestStop()
        wait_for(lambda: not job.running, PATIENCE_S)
    finally:
        job.terminate(force=True)
    assert job.returnCode == 130
    assert job.lastWords() == "Cancelled."
    assert run.holds_a_run
    assert run.adapter("last").exists()
    steps = [event["step"] for event in Job.find(folder).poll() if event["event"] == "metric"]
    assert steps[:11] == list(range(1, 12))
