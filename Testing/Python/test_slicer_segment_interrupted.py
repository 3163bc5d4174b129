"""The Segment tab when something comes between: cancel, deaths, deletions, a closing scene, a reload."""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import numpy as np
import pytest

import slicer_host
from panel_segment import addPhantom, addVolume, nodesOf, openPanel

import qt  # isort: skip
import slicer  # isort: skip
from SAMedSlicerLib.Job import Job  # isort: skip
from SAMedSlicerLib.VoxelArrays import voxelsOf  # isort: skip

HU = np.random.default_rng(0).integers(-1000, 400, (6, 10, 12)).astype(np.int16)


@pytest.fixture
def panel(scene, tmp_path):
    with openPanel(tmp_path) as panel:
        yield panel


@pytest.fixture
def quick(panel, tmp_path):
    """A panel with children that need no PyTorch."""
    panel.becomeQuick(tmp_path / "modules")
    panel.volume = addVolume(HU)
    panel.use(panel.volume)
    return panel


def childOf(panel) -> int:
    return panel.tab._strip.job._identity.pid


def isGone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def reach(panel, stage: str) -> None:
    """Press the button and wait for a stage: of this process, which the status tells, or of the child."""
    if stage[0].isupper():
        panel.press()
        panel.waitForStatus(stage)
    else:
        panel.pressAndHold(stage)


def assertNothingIsLeft(panel) -> None:
    assert panel.host.left == []
    assert nodesOf("vtkMRMLSegmentationNode") == []
    assert panel.ui.segmentButton.text == "Segment organs"
    assert panel.ui.progressBar.isHidden()


@pytest.mark.parametrize("stage", ["Preparing", "start", "0 0", "0 4", "Writing the organs"])
def test_cancel_at_any_stage_leaves_nothing(quick, stage):
    reach(quick, stage)
    quick.tab._strip.cancel()
    quick.wait()
    assert quick.status == "Cancelled."
    assertNothingIsLeft(quick)
    assert quick.ui.segmentButton.enabled


def test_after_a_cancel_the_button_starts_again(quick):
    quick.pressAndHold("start")
    quick.tab._strip.cancel()
    quick.wait()
    quick.release()
    quick.segment()
    assert quick.status.startswith("1 organ found in CT.")
    assert quick.host.left == []


def test_a_double_click_starts_and_does_not_cancel(quick):
    quick.press()
    quick.press()
    quick.wait()
    assert quick.status.startswith("1 organ found in CT.")


def test_many_clicks_on_cancel_are_one_cancel(quick):
    quick.pressAndHold("0 4")
    for _ in range(9):
        quick.press()
    quick.wait()
    assert quick.status == "Cancelled."
    assertNothingIsLeft(quick)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_child_killed_at_any_moment_is_explained_and_leaves_nothing(quick):
    generator = random.Random(4)
    for _ in range(12):
        quick.press()
        quick.wait(lambda: quick.tab._strip.job is not None or quick.idle)
        pid, moment = childOf(quick), time.monotonic() + generator.uniform(0, 1.2)
        quick.wait(lambda: time.monotonic() > moment)  # noqa: B023
        if quick.tab._strip.job is None:  # it had ended
            quick.wait()  # its result may still be on the way into the scene
            for node in nodesOf("vtkMRMLSegmentationNode"):
                slicer.mrmlScene.RemoveNode(node)
            continue
        os.killpg(pid, signal.SIGKILL)
        quick.wait()
        ended = "The segmentation was ended by the system (exit code -9), most likely because memory ran out"
        if not quick.status.startswith(ended):
            assert quick.status.startswith("1 organ found")  # it had just written its result
            for node in nodesOf("vtkMRMLSegmentationNode"):
                slicer.mrmlScene.RemoveNode(node)
        assertNothingIsLeft(quick)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_the_real_child_killed_while_it_starts_is_explained(panel):
    panel.use(addPhantom())
    panel.press()
    panel.wait(lambda: panel.tab._strip.job is not None)
    moment = time.monotonic() + 0.7
    panel.wait(lambda: time.monotonic() > moment)
    os.killpg(childOf(panel), signal.SIGKILL)
    panel.wait()
    assert "exit code -9" in panel.status
    assertNothingIsLeft(panel)


def test_a_child_that_crashes_leaves_its_last_words_and_the_full_text_behind_a_link(quick, tmp_path):
    (tmp_path / "modules" / "quick.py").write_text("print(1/0)")
    quick.segment()
    assert quick.status.startswith("Something unexpected happened: ")
    assert quick.status.endswith('<a href="details">Details</a>')
    assert str(quick.host._folder) not in quick.status
    quick.ui.statusLabel.linkActivated.emit("details")
    assert "Traceback" in quick.host.shown[-1][1]
    assertNothingIsLeft(quick)


def test_a_volume_deleted_during_the_run_cancels_it(quick):
    quick.pressAndHold("0 1")
    pid = childOf(quick)
    slicer.mrmlScene.RemoveNode(quick.volume)
    quick.wait(lambda: quick.ui.segmentButton.text == "Segment organs")
    assert quick.status == "The volume was deleted, so its segmentation was cancelled."
    assert isGone(pid)
    assertNothingIsLeft(quick)
    assert not quick.ui.segmentButton.enabled


def test_one_of_two_volumes_deleted_during_the_run_costs_only_its_own_result(quick):
    other = addVolume(HU[::-1], name="other")
    quick.ui.inputKindSelector.currentIndex = 1
    quick.pressAndHold("1 1")
    slicer.mrmlScene.RemoveNode(other)
    quick.release()
    quick.wait()
    assert quick.status == "1 of 2 scans segmented. other was deleted, so its result was dropped."
    assert [node.GetName() for node in nodesOf("vtkMRMLSegmentationNode")] == ["CT organs"]
    assert quick.host.left == []


def test_results_of_a_batch_appear_as_they_come_and_stay_when_the_rest_is_cancelled(quick):
    addVolume(HU[::-1], name="other")
    quick.ui.inputKindSelector.currentIndex = 1
    quick.pressAndHold("1 1")
    assert [node.GetName() for node in nodesOf("vtkMRMLSegmentationNode")] == ["CT organs"]
    quick.press()
    quick.wait()
    assert quick.status == "1 of 2 scans segmented. Cancelled."
    assert quick.host.left == []


def test_closing_the_scene_ends_the_run_without_a_trace(quick):
    quick.pressAndHold("0 1")
    pid = childOf(quick)
    quick.tab.sceneStartClose()
    slicer_host.closeScene()
    quick.tab.sceneEndClose()
    assert isGone(pid)
    assert quick.status == "The scene was closed, so the segmentation was cancelled."
    slicer_host.processEvents()
    assertNothingIsLeft(quick)


@pytest.mark.parametrize("stage", ["Preparing", "start", "0 3", "Writing the organs"])
def test_reloading_the_module_ends_the_run_at_once(quick, stage):
    reach(quick, stage)
    pid = childOf(quick) if quick.tab._strip.job else None
    quick.close()
    assert pid is None or isGone(pid)
    assert quick.host.left == []
    addVolume(HU, name="after")
    slicer_host.processEvents()


def change(volume):
    voxelsOf(volume.GetImageData())[0, 0, 0] += 1
    volume.GetImageData().Modified()


def move(volume):
    volume.SetOrigin(100, 0, 0)


def crop(volume):
    import vtk

    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_SHORT, 1)
    volume.SetAndObserveImageData(image)


@pytest.mark.parametrize(
    ("doing", "sentence", "kept"),
    [
        (change, "CT was changed while it was segmented; the result shows the organs before that change.", True),
        (move, "CT was moved while it was segmented; the result moved with it.", True),
        (crop, "CT was cropped or resampled while it was segmented; its result does not fit any more", False),
    ],
)
def test_what_happens_to_the_volume_meanwhile_is_noticed(quick, doing, sentence, kept):
    quick.pressAndHold("0 1")
    doing(quick.volume)
    quick.release()
    quick.wait()
    assert sentence in quick.status
    nodes = nodesOf("vtkMRMLSegmentationNode")
    assert len(nodes) == kept
    if kept:
        segmentId = nodes[0].GetSegmentation().GetSegmentIdBySegmentName("liver")
        voxels = slicer.util.arrayFromSegmentBinaryLabelmap(nodes[0], segmentId, quick.volume)
        assert np.array_equal(voxels > 0, HU > 0)
    assert quick.host.left == []


def test_a_transform_applied_meanwhile_moves_the_result_along(quick):
    quick.pressAndHold("0 1")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    quick.volume.SetAndObserveTransformNodeID(transform.GetID())
    quick.release()
    quick.wait()
    (node,) = nodesOf("vtkMRMLSegmentationNode")
    assert node.GetTransformNodeID() == transform.GetID()
    assert "meanwhile" not in quick.status


def test_the_window_stays_alive_while_a_child_works(quick):
    ticks = []
    timer = qt.QTimer()
    timer.interval = 5
    timer.connect("timeout()", lambda: ticks.append(time.monotonic()))
    timer.start()
    quick.segment()
    timer.stop()
    assert max(np.diff(ticks)) < 0.5


def test_a_child_that_cannot_start_is_told_in_a_sentence(quick, monkeypatch):
    quick.host.child.executable = "/nowhere/python"
    quick.segment()
    assert quick.status.startswith("Python could not be started: /nowhere/python is not there or cannot be run")
    assertNothingIsLeft(quick)


def test_detached_jobs_are_not_what_this_tab_starts(quick):
    quick.pressAndHold("start")
    assert not quick.tab._strip.job.detached
    assert Job.find(quick.tab._flow._run.jobFolder) is not None
    quick.tab._flow.abandon()
    assert quick.host.left == []


def test_names_with_special_characters_are_shown_as_they_are(quick):
    quick.use(addVolume(HU, name="A & B <1>"))
    quick.segment()
    assert quick.status.startswith("1 organ found in A &amp; B &lt;1&gt;.")  # as rich text
    assert quick.ui.statusLabel.textFormat == qt.Qt.RichText
    assert quick.ui.resultCollapsibleButton.text == "Result: A && B <1>"
