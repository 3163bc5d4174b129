"""Segmenting volumes of the scene: out to files, through one child process, and back."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.ExportedVolume import VolumeLost
from SAMedSlicerLib.OrganSize import organSizes
from SAMedSlicerLib.PanelWords import inPanelWords
from SAMedSlicerLib.SegmentationWriter import SegmentationWriter
from SAMedSlicerLib.SegmentRequest import SegmentRequest
from SAMedSlicerLib.SegmentResult import SegmentResult

if TYPE_CHECKING:
    from SAMedLib.organs import LabelSet


class Case(Protocol):
    """VolumeCase and FrameCase."""

    @property
    def title(self) -> str: ...

    @property
    def volumeNode(self) -> Any: ...

    def check(self) -> list[str]: ...

    def export(self, path: Path) -> None: ...

    def deliver(self, labels: Any, labelSet: LabelSet, modelInfo: Mapping[str, Any]) -> tuple[Any, list[str]]: ...


class SceneRun:
    """One press of "Segment organs" for volumes in the scene; the model is loaded once for all of them.

    The order of use: export(), then command() as a job whose events go to onEvent(), then collect(), and discard() in
    any case. Results are written into the scene as they come, so what is ready stays if a later volume fails.

    Args:
        folder: private and temporary; discard() removes it.
        confirm: asks the user whether to go on in spite of something.
        finish: called once after the last result; returns the segmentation that shows all of them, if there is one.

    Attributes:
        results, problems, remarks: what there is to tell; problems are about volumes without a result.
        shown: the segmentation to look at first.
        notice: what everyone who sees the result must know about the model.
        toldFailures: whether the job said of some volumes why they failed.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        request: SegmentRequest,
        labelSet: LabelSet,
        folder: Path,
        confirm: Callable[[str], bool],
        finish: Callable[[], Any] = lambda: None,
    ) -> None:
        self._cases = {f"scan-{number:04d}": case for number, case in enumerate(cases, start=1)}
        self._request = request
        self._labelSet = labelSet
        self._organs = labelSet.select(request.organs) if request.organs else labelSet.labels
        self._confirm = confirm
        self._finish = finish
        self._waiting: list[str] = []
        self.folder = folder
        self.results: list[SegmentResult] = []
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.shown: Any = None
        self.toldFailures = False
        self.notice = ""

    @property
    def expected(self) -> int:
        """How many results there should be."""
        return len(self._cases)

    @property
    def names(self) -> dict[str, str]:
        """What the job calls a scan, and how the user knows it."""
        return {stem: case.title for stem, case in self._cases.items()}

    @property
    def jobFolder(self) -> Path:
        return self.folder / "job"

    def isPointless(self) -> bool:
        """Whether everything that is segmented was deleted."""
        return all(case.volumeNode is None for case in self._cases.values())

    def export(self) -> Iterator[str]:
        """Check and write the volumes, one a step; raises SAMedError if none is left."""
        (self.folder / "in").mkdir()
        (self.folder / "out").mkdir()
        doubts: list[str] = []
        for stem, case in self._cases.items():
            yield _("Preparing {name} ...").format(name=case.title)
            try:
                doubts += case.check()
                case.export(self._input(stem))
                self._waiting.append(stem)
            except (SAMedError, VolumeLost) as error:
                self.problems.append(self._forPeople(str(error)))
        if not self._waiting:
            raise SAMedError(" ".join(self.problems))
        if doubts and not self._confirm(
            _("{doubts}\n\nSegment anyway?").format(doubts="\n".join(dict.fromkeys(doubts)))
        ):
            raise SAMedError(_("Not segmented."))

    def command(self) -> list[str]:
        if len(self._waiting) == 1:
            (stem,) = self._waiting
            return self._request.command(self._input(stem), self._output(stem))
        return self._request.command(self.folder / "in", self.folder / "out", ["--format", ".nrrd"])

    def onEvent(self, event: Mapping[str, Any]) -> None:
        """Bring in what is ready, and remember what failed."""
        message = str(event.get("message", ""))
        if event.get("event") == "progress" and event.get("stage") == "scans":
            for stem in list(self._waiting):
                self._bringIn(stem)
        elif event.get("event") == "note":
            self._note(message)

    def collect(self) -> Iterator[str]:
        """Write what is ready and not yet in the scene, one volume a step."""
        for stem in list(self._waiting):
            yield _("Writing the organs of {name} ...").format(name=self._cases[stem].title)
            self._bringIn(stem)
        if self.results:
            self.shown = self._finish() or self.results[0].segmentationNode

    def discard(self) -> None:
        """Remove the files; patient data does not linger."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def forPeople(self, text: str) -> str:
        """A sentence of the job, with the user's names for what the job knows as files."""
        return self._forPeople(text)

    def _note(self, message: str) -> None:
        stem, failed, reason = message.partition(" failed: ")
        if failed and stem in self._waiting:
            self._waiting.remove(stem)
            self.toldFailures = True
            self.problems.append(f"{self._cases[stem].title}: {self._forPeople(reason)}")
        else:
            self.remarks.append(self._forPeople(message))

    def _bringIn(self, stem: str) -> None:
        path = self._output(stem)
        if not path.exists():  # files appear complete
            return
        self._waiting.remove(stem)
        from SAMedLib.imaging.volume import read_geometry

        case = self._cases[stem]
        writer = SegmentationWriter()
        try:
            labels = writer.readLabels(path)
            info = writer.readModelInfo(path)
            voxelMl = read_geometry(path).voxel_ml
            segmentation, remarks = case.deliver(labels, self._labelSet, info)
        except (SAMedError, VolumeLost) as error:
            self.problems.append(self._forPeople(str(error)))
            return
        except Exception:  # one result that cannot be read or shown must not cost the others
            logging.getLogger(__name__).exception("A result could not be brought into the scene.")
            self.problems.append(
                _("The result of {name} could not be shown; the reason is in the error log.").format(name=case.title)
            )
            return
        finally:
            path.unlink(missing_ok=True)
            self._input(stem).unlink(missing_ok=True)
        self.remarks += remarks
        self.notice = str(info.get("notice", ""))
        sizes = organSizes(labels, voxelMl, self._organs)
        self.results.append(SegmentResult(case.title, sizes, case.volumeNode, segmentation))

    def _input(self, stem: str) -> Path:
        return self.folder / "in" / f"{stem}.nrrd"

    def _output(self, stem: str) -> Path:
        return self.folder / "out" / f"{stem}.nrrd"

    def _forPeople(self, text: str) -> str:
        for stem, case in self._cases.items():
            for known in (str(self._input(stem)), str(self._output(stem)), f"{stem}.nrrd", stem):
                text = text.replace(known, case.title)
        return inPanelWords(text.replace(str(self.folder), _("the temporary folder")))
