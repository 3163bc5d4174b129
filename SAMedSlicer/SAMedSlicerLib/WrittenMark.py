"""Which segments a model wrote, and whether a person has edited them since."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import slicer
import vtk

from SAMedSlicerLib.VoxelArrays import imageToWorldOf, shifted, voxelsOf

if TYPE_CHECKING:
    import numpy as np

BINARY_LABELMAP = slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName()
_MARK = "SAMed.Written"
_NAME = "SAMed.Name"
_TOLERANCE = 1e-3  # mm; a .seg.nrrd file keeps more digits
_EMPTY = "empty"


def binaryLabelmap(segment: slicer.vtkSegment) -> slicer.vtkOrientedImageData | None:
    """The image that holds the segment's voxels, perhaps with those of other segments; None if it has none."""
    return segment.GetRepresentation(BINARY_LABELMAP)


def boundingBoxes(labels: np.ndarray) -> dict[int, tuple[slice, slice, slice]]:
    """Where in [K,J,I] each value lies, 0 left out."""
    from scipy import ndimage

    if labels.size == 0:
        return {}
    return {value: box for value, box in enumerate(ndimage.find_objects(labels), start=1) if box}


def isWritten(segment: slicer.vtkSegment) -> bool:
    """Whether a model wrote the segment, edited or not."""
    return segment.HasTag(_MARK)


def forget(segment: slicer.vtkSegment) -> None:
    """From now on the segment is the user's own."""
    segment.RemoveTag(_MARK)
    segment.RemoveTag(_NAME)


class WrittenMark:
    """Marks segments with a digest of their voxels and where these lie, in tags that are saved with them.

    The digest is of the segment's own bounding box, so it stays the same when Slicer crops or pads the image, moves
    the segment to another layer or gives it another label value, as it does on saving and on editing others. One
    object serves for one round of questions: it keeps what it found out about each image.

    Args:
        boxes: the `boundingBoxes` of images for which they are known.
    """

    def __init__(self, boxes: Mapping[slicer.vtkOrientedImageData, Mapping] | None = None) -> None:
        self._boxes = dict(boxes or {})

    def put(self, segment: slicer.vtkSegment) -> None:
        """Mark a segment that was just written."""
        segment.SetTag(_MARK, self._describe(segment))
        segment.SetTag(_NAME, segment.GetName())

    def isUntouched(self, segment: slicer.vtkSegment) -> bool:
        """Whether a model wrote the segment, and its voxels, place and name are still the same."""
        if not isWritten(segment) or not self.hasItsName(segment):
            return False
        then, now = _tag(segment, _MARK).split(), self._describe(segment).split()
        if then[0] != now[0] or len(then) != len(now):
            return False
        return all(abs(float(a) - float(b)) < _TOLERANCE for a, b in zip(then[1:], now[1:], strict=True))

    @staticmethod
    def hasItsName(segment: slicer.vtkSegment) -> bool:
        """Whether the segment is still called as the writer called it."""
        return _tag(segment, _NAME) == segment.GetName()

    def _describe(self, segment: slicer.vtkSegment) -> str:
        """Digest, and the position and axes of the bounding box's first voxel in RAS."""
        import numpy as np

        image = binaryLabelmap(segment)
        if image is None:
            return "none"
        labels = voxelsOf(image)
        if image not in self._boxes:
            self._boxes[image] = boundingBoxes(labels)
        box = self._boxes[image].get(segment.GetLabelValue())
        if box is None:
            return _EMPTY
        mask = labels[box] == segment.GetLabelValue()
        digest = hashlib.blake2b(repr(mask.shape).encode() + np.packbits(mask).tobytes(), digest_size=16).hexdigest()
        first = [part.start + low for part, low in zip(reversed(box), image.GetExtent()[::2], strict=True)]
        matrix = shifted(imageToWorldOf(image), tuple(first))
        place = [f"{matrix.GetElement(row, column):.5f}" for row in range(3) for column in range(4)]
        return " ".join([digest, *place])


def _tag(segment: slicer.vtkSegment, name: str) -> str:
    value = vtk.reference("")
    return str(value) if segment.GetTag(name, value) else ""
