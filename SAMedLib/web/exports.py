"""The result as files to keep: what the scene holds now, on the scan's own grid."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SAMedLib.imaging.volume import Volume, write_labels
from SAMedSlicerLib.SegmentationReader import SegmentationReader

if TYPE_CHECKING:
    import numpy as np

    from SAMedLib.organs import LabelSet
    from SAMedLib.web.scan import Scan

# what the page offers: the end of a file's name, and what it is
FORMATS = {
    "seg.nrrd": "coded segments for 3D Slicer",
    "nii.gz": "plain labels",
    "png": "a picture of all organs",
}


@dataclass(frozen=True)
class Result:
    """A finished segmentation, apart from the scene, so that any thread can write it."""

    volume: Volume
    labels: np.ndarray
    label_set: LabelSet
    metadata: dict[str, Any]

    @property
    def footer(self) -> str:
        """What everyone who sees a picture of it must know."""
        corrected = "Corrected by hand." if self.metadata.get("corrected_by_hand") else ""
        return f"{self.metadata.get('notice', '')} {corrected}".strip()

    def write(self, folder: Path, extension: str) -> Path:
        """Write one of FORMATS into a folder; for any thread."""
        path = folder / f"{self.volume.name}-organs.{extension}"
        if extension == "png":
            from SAMedLib.imaging.overview import write_overview

            write_overview(path, self.volume, self.labels, self.label_set, footer=self.footer)
        else:
            write_labels(path, self.labels, self.volume.geometry, self.label_set, metadata=self.metadata)
        return path


def result_of(scan: Scan, segmentation_node: Any, label_set: LabelSet, edited: bool) -> Result:
    """What the segmentation node holds now; on the thread of the scene.

    Args:
        edited: whether somebody has corrected it; its files say so.

    Raises:
        SAMedError: if it cannot be read.
    """
    reader = SegmentationReader()
    mapping = reader.match(reader.segmentsOf(segmentation_node), label_set)
    labels = reader.labels(segmentation_node, scan.node, mapping)
    metadata = json.loads(segmentation_node.GetAttribute("SAMed.Info") or "{}")
    if edited:
        metadata["corrected_by_hand"] = True
    return Result(scan.volume, labels, label_set, metadata)
