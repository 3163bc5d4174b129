"""Two segmentations of the scene on their way to `samed evaluate`, and where its answers lie in the scene."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.CaseScores import CaseScores
from SAMedSlicerLib.EvaluationRequest import EvaluationRequest
from SAMedSlicerLib.InputVolume import VolumeProblem, checkVolume, writeVolume
from SAMedSlicerLib.OrganPairs import OrganPair, labelsOf
from SAMedSlicerLib.SegmentationReader import SegmentationReader


class SceneEvaluation:
    """One press of "Evaluate" for nodes of the scene.

    Args:
        folder: private and temporary.

    Attributes:
        request: valid once export() is through.
        notes: sentences about how the segments were read.
    """

    def __init__(
        self, prediction: Any, reference: Any, volume: Any, pairs: Sequence[OrganPair], protocol: str, folder: Path
    ) -> None:
        self._nodes = {"prediction": _Remembered(prediction), "reference": _Remembered(reference)}
        self._volume = _Remembered(volume)
        self._labelSet, *self._mappings = labelsOf(pairs)
        self._folder = folder
        self.notes: list[str] = []
        case = re.sub(r"[^\w-]+", "_", volume.GetName() or "")[:60].strip("_") or "case"
        self._files = {side: folder / side / f"{case}.nrrd" for side in (*self._nodes, "image")}
        self.request = EvaluationRequest(
            self._nodes["prediction"].name,
            self._files["prediction"],
            self._files["reference"],
            folder,
            protocol,
            labels=str(folder / "labels.json"),
            images=folder / "image",
        )

    @property
    def title(self) -> str:
        return _("{prediction} against {reference}").format(
            prediction=self._nodes["prediction"].name, reference=self._nodes["reference"].name
        )

    @property
    def prediction(self) -> Any:
        """The node, None if it was deleted."""
        return self._nodes["prediction"].node

    @property
    def reference(self) -> Any:
        return self._nodes["reference"].node

    @property
    def volume(self) -> Any:
        return self._volume.node

    def missing(self) -> str:
        """A sentence if one of the nodes was deleted, "" if all are there."""
        for remembered in (*self._nodes.values(), self._volume):
            if remembered.node is None:
                return _("'{name}' was deleted, so the evaluation was cancelled.").format(name=remembered.name)
        return ""

    def export(self) -> Iterator[str]:
        """Write what the job reads, one file a step.

        Raises:
            SAMedError, OSError: if that is not possible.
        """
        for path in self._files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        (self._folder / "labels.json").write_text(json.dumps(self._labelSet.to_json()), encoding="utf-8")
        for (side, remembered), mapping in zip(self._nodes.items(), self._mappings):  # noqa: B905
            yield _("Reading {name} ...").format(name=remembered.name)
            self._checkAll()
            reader = SegmentationReader()
            labels = reader.labels(remembered.node, self.volume, mapping)
            self.notes += reader.notes
            if not labels.any():
                raise SAMedError(
                    _(
                        "'{name}' has no voxel of the compared organs in '{volume}'; choose another segmentation, "
                        "or the volume that it was made for."
                    ).format(name=remembered.name, volume=self._volume.name)
                )
            reader.write(self._files[side], labels, self.volume)
        yield _("Writing {name} ...").format(name=self._volume.name)
        self._checkAll()
        try:
            checkVolume(self.volume)
        except VolumeProblem:
            return  # only the report's pictures miss it
        writeVolume(self.volume, self._files["image"])

    def nodesOf(self, case: CaseScores) -> tuple[Any, Any, Any]:
        """Volume, prediction and reference; there is one case."""
        return self.volume, self.prediction, self.reference

    def _checkAll(self) -> None:
        problem = self.missing()
        if problem:
            raise SAMedError(problem)


class _Remembered:
    """A node by its ID, for it may be deleted."""

    def __init__(self, node: Any) -> None:
        self._scene = node.GetScene()
        self._id = node.GetID()
        self.name = node.GetName() or _("(no name)")

    @property
    def node(self) -> Any:
        return self._scene.GetNodeByID(self._id)
