"""Segmenting a folder of scans into a folder of results."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.OrganSize import OrganSize
from SAMedSlicerLib.PanelWords import inPanelWords
from SAMedSlicerLib.SceneLoader import loadSegmentation, loadVolume
from SAMedSlicerLib.SegmentRequest import SegmentRequest
from SAMedSlicerLib.SegmentResult import SegmentResult

if TYPE_CHECKING:
    from SAMedLib.organs import LabelSet

_TABLE = "organ-volumes.csv"


class FolderRun:
    """One press of "Segment organs" for files that are not in the scene; used as SceneRun is.

    Args:
        source, output: folders; scans whose result is in `output` already are skipped.
        folder: private and temporary, for the job's own files.
        load: None, or the scene into which scans and results are loaded at the end.
    """

    def __init__(
        self, source: Path, output: Path, request: SegmentRequest, labelSet: LabelSet, folder: Path, load: Any = None
    ) -> None:
        self._source = source.resolve()
        self._output = output.resolve()
        self._request = request
        self._colors = {label.name: label.color for label in labelSet}
        self._load = load
        self._skipped = 0
        self.folder = folder
        self.expected = 0
        self.names: dict[str, str] = {}
        self.results: list[SegmentResult] = []
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.shown: Any = None
        self.toldFailures = False
        self.notice = ""

    @property
    def jobFolder(self) -> Path:
        return self.folder / "job"

    def isPointless(self) -> bool:
        return False

    def export(self) -> Iterator[str]:
        """Nothing to write: the scans are files."""
        yield from ()

    def command(self) -> list[str]:
        self._output.mkdir(parents=True, exist_ok=True)  # a folder as output, also for a single scan
        return self._request.command(self._source, self._output, ["--table", str(self.folder / _TABLE)])

    def onEvent(self, event: Mapping[str, Any]) -> None:
        message = str(event.get("message", ""))
        if event.get("event") == "progress" and event.get("stage") == "scans":
            self.expected = int(event.get("total", 0))
        elif event.get("event") == "note":
            self._note(message)

    def collect(self) -> Iterator[str]:
        """Read the table of organ volumes; load scans and results if that is wanted, one a step."""
        for title, sizes in self._sizes().items():
            yield _("Loading {name} ...").format(name=title)
            volume, segmentation = self._loaded(title) if self._load else (None, None)
            self.results.append(SegmentResult(title, sizes, volume, segmentation))
        if self.results:
            shutil.copyfile(self.folder / _TABLE, self._output / _TABLE)
            self.shown = self.results[0].segmentationNode
        if any(self._output.glob("*.seg.nrrd")):
            self.remarks.append(_("The results are in {folder}.").format(folder=self._output))
        if self._skipped:
            one = _("1 scan had a result there already and was skipped; choose another folder to segment it again.")
            several = _(
                "{count} scans had a result there already and were skipped; choose another folder to segment them "
                "again."
            )
            self.remarks.append(one if self._skipped == 1 else several.format(count=self._skipped))

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def forPeople(self, text: str) -> str:
        return text

    def _note(self, message: str) -> None:
        name, failed, reason = message.partition(" failed: ")
        if failed:
            self.toldFailures = True
            self.problems.append(f"{name}: {inPanelWords(reason)}")
        elif " is skipped: " in message:
            self._skipped += 1
        else:
            self.remarks.append(inPanelWords(message))

    def _sizes(self) -> dict[str, list[OrganSize]]:
        """Organs of every scan, by its name; nothing if the job did not come to the table."""
        sizes: dict[str, list[OrganSize]] = {}
        try:
            with open(self.folder / _TABLE, encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    self.notice = row["notice"]
                    sizes.setdefault(row["case"], []).append(
                        OrganSize(
                            row["name"],
                            self._colors.get(row["name"], (128, 128, 128)),
                            int(row["voxels"]),
                            float(row["ml"]),
                            row["cut"] == "True",
                        )
                    )
        except FileNotFoundError:
            return {}
        return sizes

    def _loaded(self, title: str) -> tuple[Any, Any]:
        """Volume and segmentation nodes; None for what cannot be loaded, which the remarks then tell."""
        scans = [
            path for path in sorted(self._source.iterdir()) if path.is_file() and path.name.startswith(f"{title}.")
        ]
        volume = segmentation = None
        try:
            if scans:
                volume = loadVolume(self._load, scans[0], title)
            else:
                self.remarks.append(_("Load the images of {name} with the DICOM module.").format(name=title))
            segmentation = loadSegmentation(
                self._load,
                self._output / f"{title}.seg.nrrd",
                _("{volume} organs").format(volume=title),
                volume,
                self._request.model,
            )
        except SAMedError as error:
            self.remarks.append(str(error))
        return volume, segmentation
