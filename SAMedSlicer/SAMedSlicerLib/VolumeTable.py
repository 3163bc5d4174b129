"""Organ volumes of a segmentation as a table node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from SAMedSlicerLib.OrganTable import Column, OrganTable

if TYPE_CHECKING:
    from SAMedSlicerLib.SegmentResult import SegmentResult


def writeVolumeTable(segmentationNode: Any, results: Sequence[SegmentResult]) -> Any:
    """The table node of a segmentation, or of the frames that it shows one after another."""
    columns = [
        Column("organ", _("Organ"), str),
        Column("volume", _("Volume"), float, "mL", 1, _("What was found of the organ.")),
        Column("voxels", _("Voxels"), int),
        Column("cut", _("Reaches the edge of the scan"), str, description=_("There may be more of it outside.")),
    ]
    if len(results) > 1:
        columns.insert(0, Column("scan", _("Scan"), str))
    rows = [
        {
            "scan": result.title,
            "organ": size.name,
            "volume": size.ml,
            "voxels": size.voxels,
            "cut": _("yes") if size.cut else _("no"),
        }
        for result in results
        for size in result.sizes
    ]
    name = _("{segmentation}, volumes").format(segmentation=segmentationNode.GetName())
    return OrganTable("volumes", columns).write(segmentationNode, rows, name)
