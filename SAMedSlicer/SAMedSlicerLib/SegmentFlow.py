"""From the press of "Segment organs" to the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.ExportedVolume import VolumeLost
from SAMedSlicerLib.FolderRun import FolderRun
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobStrip import JobStrip
from SAMedSlicerLib.SceneRun import SceneRun

_EXPECTED = (SAMedError, VolumeLost, OSError)


class SegmentFlow:
    """Leads one run at a time through its stages; however it ends, its folder is removed.

    Args:
        onFinished: gets the run, with what there is of results.
    """

    def __init__(self, strip: JobStrip, host: Host, onFinished: Callable[[SceneRun | FolderRun], None]) -> None:
        self._strip = strip
        self._host = host
        self._onFinished = onFinished
        self._run: SceneRun | FolderRun | None = None
        self._observed: tuple[Any, int] | None = None
        self._ending = ""
        self._details = ""

    @property
    def busy(self) -> bool:
        return self._run is not None

    def start(self, run: SceneRun | FolderRun) -> None:
        self._run = run
        self._ending = self._details = ""
        scene = self._host.scene
        self._observed = (scene, scene.AddObserver(slicer.vtkMRMLScene.NodeRemovedEvent, self._onNodeRemoved))
        self._strip.work(run.export(), self._onExported, _EXPECTED)

    def abandon(self) -> None:
        """The scene or the module goes: end everything at once and leave nothing behind."""
        self._strip.abandon()
        self._close()

    def _onExported(self, ok: bool, message: str) -> None:
        run = self._run
        if not ok:
            return self._end(self._ending or message)
        if run.isPointless():
            return self._end(_deleted())
        try:
            command = run.command()
        except OSError as error:
            return self._end(
                _("{folder} cannot be written ({reason}); choose another folder.").format(
                    folder=error.filename, reason=error.strerror
                )
            )
        self._strip.run(command, run.jobFolder, onEvent=run.onEvent, onFinished=self._onJobFinished, names=run.names)
        return None

    def _onJobFinished(self, job: Job, ok: bool, message: str) -> None:
        run = self._run
        # of several scans some may have failed: the notes told which and why, and the rest is there
        explained = run.toldFailures and job.returnCode == 1
        self._details = "" if ok else self._strip.details
        self._ending = self._ending or ("" if ok or explained else run.forPeople(message))
        self._strip.work(run.collect(), self._onCollected, _EXPECTED)

    def _onCollected(self, ok: bool, message: str) -> None:
        if not ok:
            self._run.problems.append(message)
        self._end(self._ending)

    def _end(self, message: str) -> None:
        run = self._run
        self._close()
        self._strip.say(outcome(run, message), self._details)
        self._onFinished(run)

    def _close(self) -> None:
        if self._observed:
            scene, tag = self._observed
            scene.RemoveObserver(tag)
            self._observed = None
        if self._run is not None:
            self._run.discard()
            self._run = None

    def _onNodeRemoved(self, caller: Any, event: Any) -> None:
        if self._run is not None and self._run.isPointless() and not self._strip.cancelling:
            self._ending = _deleted()
            self._strip.cancel()


def outcome(run: SceneRun | FolderRun, message: str) -> str:
    """What the status line says in the end: what there is, what is missing and why, and what else to know."""
    done, expected = len(run.results), max(run.expected, len(run.results))
    sentences = []
    if expected > 1 and (done or run.problems):
        sentences.append(_("{done} of {expected} scans segmented.").format(done=done, expected=expected))
    elif done:
        sentences.append(_found(run))
    if message:
        sentences.append(message)
    sentences += [text for text in dict.fromkeys(run.problems) if text not in message]
    sentences += dict.fromkeys(run.remarks)
    return " ".join(sentences)


def _found(run: SceneRun | FolderRun) -> str:
    (result,) = run.results
    found = [size.name for size in result.sizes if size.voxels]
    absent = [size.name for size in result.sizes if not size.voxels]
    if not found:
        return _("No organ was found in {name}; is it a CT of the abdomen?").format(name=result.title)
    text = (_("1 organ found in {name}.") if len(found) == 1 else _("{count} organs found in {name}.")).format(
        count=len(found), name=result.title
    )
    return f"{text} {_('Not found: {organs}.').format(organs=', '.join(absent))}" if absent else text


def _deleted() -> str:
    return _("The volume was deleted, so its segmentation was cancelled.")
