"""Nodes of the scene as files from which `samed prepare segmentations` makes a case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.InputVolume import writeVolume
from SAMedSlicerLib.SegmentationReader import SegmentationReader


@dataclass
class CaseExport:
    """Writes a scan, and its labels on the scan's own voxels, into a private folder.

    The nodes are looked up by their IDs when their turn comes: the user may delete them meanwhile. The command that
    follows works on the files only.

    Attributes:
        name: of the case.
        values: segment id to value in the label file.
        notes: sentences for the user, once it is written.
        emptyValues: those without a voxel in the scan, once it is written.
    """

    folder: Path
    scene: Any
    name: str
    volumeId: str
    segmentationId: str
    values: Mapping[str, int]
    notes: list[str] = field(default_factory=list)
    emptyValues: list[int] = field(default_factory=list)

    def steps(self) -> Iterator[str]:
        """Write the two files, piece by piece; see Steps.

        Raises:
            SAMedError: if a node is gone, a file cannot be written, or no segment has a voxel within the scan.
        """
        import numpy as np

        yield _("Reading the segments ...")
        reader = SegmentationReader()
        segmentation = self._node(self.segmentationId)
        labels = reader.labels(segmentation, self._node(self.volumeId), dict(self.values))
        self.notes = list(reader.notes)
        self.emptyValues = sorted(set(self.values.values()) - {int(value) for value in np.unique(labels)})
        if not labels.any():
            raise SAMedError(
                _("The chosen segments of {name} have no voxel within the scan; segment the organs first.").format(
                    name=segmentation.GetName()
                )
            )
        yield _("Writing the scan ...")
        for path in (self._image, self._labels):
            path.parent.mkdir(parents=True, exist_ok=True)
        writeVolume(self._node(self.volumeId), self._image)
        reader.write(self._labels, labels, self._node(self.volumeId))

    def command(self, dataset: Path) -> list[str]:
        """Adds what was written to a training set that names these values."""
        return ["prepare", "segmentations", str(self._image), str(self._labels), "--output", str(dataset.absolute())]

    @property
    def _image(self) -> Path:
        return self.folder / "image" / f"{self.name}.nrrd"

    @property
    def _labels(self) -> Path:
        return self.folder / "labels" / f"{self.name}.nrrd"

    def _node(self, nodeId: str) -> Any:
        node = self.scene.GetNodeByID(nodeId)
        if node is None:
            raise SAMedError(_("The volume or the segmentation was deleted before it was added; nothing was changed."))
        return node
