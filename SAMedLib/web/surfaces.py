"""The organs' surfaces for the 3D view, computed one at a time: between two of them the page gets its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import slicer

_LABELMAP = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
_SURFACE = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
_PAUSE_S = 0.02


async def prepare_surfaces(segmentation_node: Any, is_wanted: Callable[[], bool]) -> bool:
    """Give the segments the surfaces that Slicer would compute when they are shown, all in one go.

    Returns:
        whether they are still wanted; else nothing was changed.
    """
    segmentation = segmentation_node.GetSegmentation()
    computed = []
    for segment_id in list(segmentation.GetSegmentIDs()):
        await asyncio.sleep(_PAUSE_S)
        if not is_wanted():
            return False
        segment = segmentation.GetSegment(segment_id)
        image = segment.GetRepresentation(_LABELMAP)
        computed.append((segment, image.GetMTime(), _surface_of(segment, segmentation)))
    await asyncio.sleep(_PAUSE_S)
    if not is_wanted():
        return False
    for segment, time, surface in computed:
        if segment.GetRepresentation(_LABELMAP).GetMTime() == time:  # nobody has edited it meanwhile
            segment.AddRepresentation(_SURFACE, surface)
    return True


def _surface_of(segment: Any, segmentation: Any) -> Any:
    """A segmentation converts all of its segments at once, so this is one with a single segment."""
    alone, copy = slicer.vtkSegmentation(), slicer.vtkSegment()
    alone.SetSourceRepresentationName(_LABELMAP)
    alone.CopyConversionParameters(segmentation)
    copy.SetLabelValue(segment.GetLabelValue())
    copy.AddRepresentation(_LABELMAP, segment.GetRepresentation(_LABELMAP))
    alone.AddSegment(copy, _SURFACE)  # any name
    alone.CreateRepresentation(_SURFACE)
    return copy.GetRepresentation(_SURFACE)
