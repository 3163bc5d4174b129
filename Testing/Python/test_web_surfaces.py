"""Surfaces for the 3D view of `samed web`, on real MRML: Slicer's own, but one at a time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from SAMedLib.organs import SYNAPSE


@pytest.fixture
def segmentation(scene):
    import mrml_scene as m
    from SAMedSlicerLib.SegmentationWriter import SegmentationWriter

    volume = m.add_volume(scene, (20, 20, 20), m.oblique())
    labels = np.zeros((20, 20, 20), np.uint8)
    for value in range(1, 9):
        labels[2 * value : 2 * value + 2, 3:12, value : value + 8] = value
    return SegmentationWriter().write(labels, volume, SYNAPSE, name="organs", modelInfo={"model": "tiny"})


def surfaces(segmentation) -> dict[str, object]:
    inner = segmentation.GetSegmentation()
    segments = [inner.GetSegment(segment_id) for segment_id in inner.GetSegmentIDs()]
    return {segment.GetName(): segment.GetRepresentation("Closed surface") for segment in segments}


def points(surface) -> np.ndarray:
    from vtk.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(surface.GetPoints().GetData())


def prepare(segmentation, is_wanted=lambda: True) -> tuple[bool, int]:
    """What it returns, and how often the loop came round to something else meanwhile."""
    from SAMedLib.web.surfaces import prepare_surfaces

    async def work():
        turns = 0
        task = asyncio.ensure_future(prepare_surfaces(segmentation, is_wanted))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        return await task, turns

    return asyncio.run(work())


def test_they_are_those_that_slicer_computes_all_in_one_go(segmentation):
    segmentation.CreateClosedSurfaceRepresentation()
    expected = {name: points(surface).copy() for name, surface in surfaces(segmentation).items()}
    segmentation.RemoveClosedSurfaceRepresentation()
    done, turns = prepare(segmentation)
    assert done
    assert turns > len(expected) == 8
    ours = surfaces(segmentation)
    segmentation.CreateClosedSurfaceRepresentation()  # what showing them does: there is nothing left to compute
    for name, surface in surfaces(segmentation).items():
        assert surface is ours[name]
        np.testing.assert_array_equal(points(surface), expected[name])


def test_what_nobody_wants_any_more_changes_nothing(segmentation):
    answers = iter([True, True, False])
    assert prepare(segmentation, lambda: next(answers))[0] is False
    assert set(surfaces(segmentation).values()) == {None}


def test_an_organ_that_was_edited_meanwhile_is_left_to_slicer(segmentation):
    inner = segmentation.GetSegmentation()
    image = inner.GetSegment(inner.GetNthSegmentID(0)).GetRepresentation("Binary labelmap")
    asked = []

    def edit_at_the_end() -> bool:
        asked.append(True)
        if len(asked) == 9:
            image.Modified()
        return True

    assert prepare(segmentation, edit_at_the_end)[0]
    assert set(surfaces(segmentation).values()) == {None}
