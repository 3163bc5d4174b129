"""Trainings that outlive the panel: followed, stopped, killed, resumed, and found again."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

import slicer_host
from panel_training import AnsweringHost, Panel, SceneChoices, small_home, wait
from SAMedLib.training.run_folder import RunFolder
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.TrainingPlan import resumeCommand

STEPS = 2_000_000  # hours: what ends here was ended


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    with small_home(tmp_path_factory.mktemp("home")) as folder:
        yield folder


@pytest.fixture(scope="module")
def run(home) -> Path:
    """The folder of a long training."""
    folder = home / "Läufe" / "Formen 2026-01-01 10.00"
    folder.mkdir(parents=True)
    yield folder
    if job := Job.find(folder / "job"):
        job.kill(0.2)


@pytest.fixture
def host(scene, tmp_path, home, run) -> AnsweringHost:
    settings = {
        "trainingStart": "small",
        "datasetFolder": str(home / "Formen"),
        "trainingFolder": str(home / "Läufe"),
        "trainingRuns": json.dumps([str(run)]),
    }
    return AnsweringHost(scene, tmp_path / "host", settings)


@pytest.fixture
def running(run, home, host) -> Job:
    """The training goes on: started if need be, as a Slicer before this one did."""
    job = Job.find(run / "job")
    if job is None or not job.running:
        command = resumeCommand(run)
        if job is None:
            options = ("--start", "small", "--batch-size", "4", "--lr", "0.001", "--val-cases", "1", "--device", "cpu")
            command = ["train", "--data", str(home / "Formen"), "--output", str(run), *options]
            command += ["--epochs", str(STEPS // 3), "--val-every", "100"]
        job = Job(run / "job", command, host.python(), detached=True)
        job.start()
    done = last_step(run)
    wait(lambda: last_step(run) > done + 5)
    return job


@pytest.fixture
def panel(host, running):
    panel = Panel(host)
    yield panel
    panel.tab.cleanup()


def last_step(run: Path) -> int:
    return max((event["step"] for event in RunFolder(run).events()), default=0)


def test_a_training_is_found_and_followed_with_live_curves(panel, host, run):
    assert panel.ui.trainButton.text == "Stop"
    assert panel.ui.runSelector.currentText == f"{run.name} (running)"
    assert panel.ui.runSelector.enabled is False
    assert panel.ui.checkButton.enabled is False
    wait(lambda: panel.status.startswith("Epoch"))
    wait(lambda: " of 666666" in panel.status)
    panel.ui.curvesSelector.setCurrentIndex(1)
    panel.ui.curvesButton.click()
    table = host.shown[-1].GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    steps = table.GetNumberOfRows()
    wait(lambda: table.GetValue(table.GetNumberOfRows() - 1, 0).ToInt() > steps)  # in place, without being asked


def test_the_curves_of_a_training_grow_in_the_scene_that_started_it_and_in_no_other(host, run, running):
    other = Panel(host)
    wait(lambda: other.status.startswith("Epoch"))
    before = last_step(run)
    wait(lambda: last_step(run) > before + 20)
    other.tab.cleanup()
    assert host.scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 0
    own = Panel(host, SceneChoices(runFolder=str(run)))
    wait(lambda: host.scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") >= 2)
    own.tab.cleanup()
    assert host.shown == []  # in the scene; the views stay as they are


def test_neither_another_scene_nor_a_reload_disturbs_it(panel, host, run, running):
    panel.ui.curvesSelector.setCurrentIndex(1)
    panel.ui.curvesButton.click()
    panel.tab.sceneStartClose()
    slicer_host.closeScene()
    panel.tab.sceneEndClose()
    before = last_step(run)
    wait(lambda: last_step(run) > before + 5)
    assert host.asked == []
    assert panel.ui.trainButton.text == "Stop"
    panel.ui.curvesButton.click()  # into the new scene
    assert host.shown[-1].GetScene() is not None
    panel.tab.cleanup()
    assert running.running
    reloaded = Panel(host)
    assert reloaded.ui.trainButton.text == "Stop"
    reloaded.tab.cleanup()


def test_a_second_training_at_once_is_refused(panel, host, run):
    panel.tab._training._strip.detach()  # as if the training were another Slicer's
    panel.ui.runSelector.setCurrentIndex(0)
    panel.ui.trainButton.click()
    assert f"'{run.name}' is being trained already" in panel.status


def test_quitting_asks_and_what_was_chosen_happens(panel, host, run, running, scene):
    host.answer = "Leave training running"
    panel.tab.askBeforeQuitting()
    panel.tab.cleanup()
    assert "can go on without Slicer" in host.asked[-1]
    assert running.running
    again = Panel(AnsweringHost(scene, host._folder / "later", dict(host.settings)))
    assert again.ui.trainButton.text == "Stop"
    again.host.answer = "Stop after saving"
    again.tab.askBeforeQuitting()
    again.tab.cleanup()
    wait(lambda: not running.running)
    third = Panel(AnsweringHost(scene, host._folder / "last", dict(host.settings)))
    assert third.status.startswith("Stopped. Epoch")
    assert third.ui.trainButton.text == "Resume"
    third.tab.cleanup()


def test_stop_saves_and_resume_goes_on_exactly_there(panel, host, run):
    panel.ui.trainButton.click()
    assert panel.ui.trainButton.text == "End now"
    said = panel.finish()
    assert said.startswith("Stopped. Epoch")
    assert "Resume goes on" in said
    assert panel.ui.runSelector.currentText == f"{run.name} (stopped)"
    stopped_at = last_step(run)
    panel.ui.trainButton.click()
    wait(lambda: last_step(run) > stopped_at + 5)
    steps = [event["step"] for event in RunFolder(run).events() if "loss" in event]
    assert steps == list(range(1, len(steps) + 1))  # nothing twice, nothing left out
    assert panel.busy


@pytest.mark.skipif(os.name == "nt", reason="children are killed with signals")
def test_a_training_that_is_killed_says_why_and_can_be_resumed(panel, run):
    os.kill(json.loads((run / "job" / "job.json").read_text())["pid"], signal.SIGKILL)
    said = panel.finish()
    assert "ended" in said
    assert "memory" in said
    assert "Resume goes on" in said
    assert "Traceback" not in said
    assert panel.ui.trainButton.text == "Resume"
    assert panel.ui.trainButton.enabled is True
    assert panel.ui.runSelector.currentText == f"{run.name} (not finished)"


def test_one_that_ended_while_slicer_was_closed_tells_why(host, run, running, scene):
    running.terminate(force=True)
    wait(lambda: not running.running)
    panel = Panel(host)
    assert "Resume goes on" in panel.status
    assert panel.ui.trainButton.text == "Resume"
    panel.tab.cleanup()
    again = Panel(host)  # told once
    assert again.status == ""
    again.tab.cleanup()


def test_ending_it_now_asks_because_steps_are_lost(panel, host, run):
    panel.ui.trainButton.click()
    host.answer = False
    panel.ui.trainButton.click()
    assert "since the last save is lost" in host.asked[-1]
    panel.finish()


def test_a_run_folder_that_is_gone_is_passed_over_and_comes_back(host, run, running, scene):
    running.kill()
    away = run.with_name("anderswo")
    run.rename(away)
    panel = Panel(host)
    assert panel.tab.runFolders() == []
    assert panel.ui.runSelector.count == 1
    panel.tab.cleanup()
    away.rename(run)
    panel = Panel(host)
    assert panel.tab.runFolders() == [run]
    panel.tab.cleanup()
