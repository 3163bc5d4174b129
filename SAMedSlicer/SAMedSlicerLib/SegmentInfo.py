"""What a segment says about itself."""

from __future__ import annotations

from dataclasses import dataclass

import slicer
import vtk

from SAMedSlicerLib.Terminology import Terminology
from SAMedSlicerLib.WrittenMark import isWritten


@dataclass(frozen=True)
class SegmentInfo:
    """One segment.

    Attributes:
        code, modifier: of its terminology, "" for none; `scheme` says what the code is of ("SCT").
        color: RGB, 0..255.
        byModel: a model wrote it, and no person has made it theirs since.
    """

    id: str
    name: str
    code: str = ""
    modifier: str = ""
    color: tuple[int, int, int] = (128, 128, 128)
    scheme: str = ""
    byModel: bool = False


def segmentInfo(segmentId: str, segment: slicer.vtkSegment) -> SegmentInfo:
    entry = vtk.reference("")
    segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entry)
    terminology = Terminology.parse(str(entry))
    red, green, blue = (round(channel * 255) for channel in segment.GetColor())
    return SegmentInfo(
        id=segmentId,
        name=segment.GetName() or segmentId,
        code=terminology.code,
        modifier=terminology.modifier,
        color=(red, green, blue),
        scheme=terminology.scheme,
        byModel=isWritten(segment),
    )
