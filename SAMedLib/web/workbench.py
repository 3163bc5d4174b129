"""What a session does: open a scan, segment it, compare the result, hand it out. The page shows its state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.volume import Volume
from SAMedLib.organs import LabelSet
from SAMedLib.web.comparison import compare, read_reference
from SAMedLib.web.editing import Editing
from SAMedLib.web.exports import Result, result_of
from SAMedLib.web.host import WebHost
from SAMedLib.web.organ_table import OrganTable
from SAMedLib.web.private_folder import PrivateFolder
from SAMedLib.web.scan import Scan, add_scan, read_scan
from SAMedLib.web.surfaces import prepare_surfaces
from SAMedLib.web.views import Views
from SAMedLib.web.widgets import Button, ProgressBar, StatusLine
from SAMedSlicerLib.JobStrip import JobStrip
from SAMedSlicerLib.ModelCatalog import ModelCatalog, ModelChoice
from SAMedSlicerLib.OrganSize import organSizes
from SAMedSlicerLib.SceneRun import SceneRun
from SAMedSlicerLib.SegmentFlow import SegmentFlow
from SAMedSlicerLib.SegmentRequest import SegmentRequest
from SAMedSlicerLib.VolumeCase import VolumeCase

_REPLACES = "Segmenting again replaces what you corrected by hand; download it first."
BUSY = "A segmentation is going on; cancel it first, or wait until it is done."


class Workbench:
    """One session: one scan at a time, and what was made of it.

    Args:
        device: where models run: auto, cpu, cuda or mps.
        model: which one is chosen at first.
    """

    def __init__(
        self, state: Any, views: Views, folder: PrivateFolder, device: str = "auto", model: str = "tiny"
    ) -> None:
        self._state = state
        self._views = views
        self._folder = folder
        self._device = device
        self._scan: Scan | None = None
        self._segmentation: Any = None
        self._label_set: LabelSet | None = None
        self._next_label_set: LabelSet | None = None
        self._reference: np.ndarray | None = None
        self._reading = False
        self.session = 0  # counts users; what one of them began does not reach the next
        self._models: dict[str, ModelChoice] = {}
        state.update({"model": model, "details": "", "surfaces": True})
        self.button = Button(state, "segment", "Segment organs")
        self.status = StatusLine(state, "status")
        host = WebHost(views.scene, folder, self._show_details)
        progress = ProgressBar(state, "progress")
        self._strip = JobStrip(self.button, progress, self.status, host, self._on_segment)
        self._flow = SegmentFlow(self._strip, host, self._on_finished)
        self._host = host
        self.organs = OrganTable(state)
        self.editing = Editing(views.editor, state, self._on_edited)
        self._forget_scan()  # the page follows only what it knows from the beginning
        self._find_models()
        self._update()

    # scans

    async def open(self, path: Path) -> None:
        """Open a CT in place of the one that is open.

        Raises:
            SAMedError: if it is none; what was open stays. Also while a segmentation goes on.
        """
        self.show(add_scan(self._views.scene, await self._read(read_scan, path)))

    def show(self, scan: Scan) -> None:
        """Take a scan of the scene as the one to work on."""
        self._forget_scan(keep=scan)
        self._scan = scan
        self._views.show(scan.node)
        self._state.notes = list(scan.volume.notes)
        self.status.text = ""
        self._update()

    async def open_reference(self, path: Path) -> None:
        """Compare with a label map on the scan's grid, now and after every further segmentation.

        Raises:
            SAMedError: if it does not fit.
        """
        if self._scan is None:
            raise SAMedError("Open a CT before its reference.")
        await self.use_reference(await self._read(read_reference, path, self._scan.volume), path.name)

    async def use_reference(self, labels: np.ndarray, name: str) -> None:
        self._reference = labels
        self._state.reference = name
        self._state.flush()
        await self._compare()

    async def _read(self, function: Callable, path: Path, *more: Any) -> Any:
        """Read a file on another thread; what was open at first is still open then."""
        if self._flow.busy:
            raise SAMedError(BUSY)
        if self._reading:
            raise SAMedError("Another file is being opened; wait until it is there.")
        self._reading = True
        session, scan = self.session, self._scan
        self._update()
        try:
            read = await asyncio.to_thread(function, path, *more)
        finally:
            self._reading = False
            self._update()
        if (session, scan) != (self.session, self._scan):
            raise SAMedError("The session ended while the file was opened.")
        return read

    # segmenting

    def choose_model(self, name: str) -> None:
        if name in self._models:
            self._state.model = name
            self._update()

    def _on_segment(self) -> None:
        model = self._models.get(self._state.model)
        if self._scan is None or model is None or self._reading or self._flow.busy:
            return
        label_set = model.labels or LabelSet.from_names(model.title, model.organs)
        self.editing.choose("", "")
        if self._segmentation is not None:  # a new node: the writer would keep what was edited beside the new organs
            self._segmentation.RemoveAttribute("SAMed.Model")
        request = SegmentRequest(model.key, device=self._device)
        folder, case = self._host.temporaryFolder(), VolumeCase(self._scan.node)
        run = SceneRun([case], request, label_set, folder, self._host.confirm)
        self._next_label_set = label_set  # until there is a result, the earlier one keeps its own
        self._flow.start(run)
        self._update()

    def _on_finished(self, run: SceneRun) -> None:
        self._state.notice = run.notice or self._state.notice
        if run.results and run.shown is not None:
            if self._segmentation not in (None, run.shown):
                self._views.scene.RemoveNode(self._segmentation)
            self._segmentation, self._label_set = run.shown, self._next_label_set
            self.organs.show(run.results[0].sizes, run.shown)
            self.editing.begin(run.shown, self._scan.node)
            self.show_surfaces(self._state.surfaces)
            self._compare_again()
        self._update()

    def _on_edited(self) -> None:
        """Measure the organs as they are now."""
        result = self.result()
        voxel_ml = result.volume.geometry.voxel_ml
        self.organs.measure(organSizes(result.labels, voxel_ml, result.label_set.labels))
        self._compare_again()
        self._update()

    def show_surfaces(self, shown: bool) -> None:
        """Show the organs in the 3D view too, or in the slices alone."""
        self._state.surfaces = shown
        if self._segmentation is None:
            return
        if shown:
            self._surfacing = asyncio.get_running_loop().create_task(self._add_surfaces(self._segmentation))
        else:
            self.editing.show_surfaces(False)

    async def _add_surfaces(self, segmentation: Any) -> None:
        if await prepare_surfaces(
            segmentation, lambda: segmentation is self._segmentation and bool(self._state.surfaces)
        ):
            self.editing.show_surfaces(True)
            self._views.centre_surfaces()

    def look_at(self, organ: str) -> None:
        place = self.organs.place_of(organ)
        if place is not None:
            self._views.jump(place)

    # results

    def result(self) -> Result:
        """The result as it is now.

        Raises:
            SAMedError: if there is none.
        """
        if self._scan is None or self._segmentation is None or self._label_set is None:
            raise SAMedError("There is no result yet; segment a scan first.")
        return result_of(self._scan, self._segmentation, self._label_set, self.editing.edited)

    async def write(self, extension: str) -> Path:
        """The result as a file in a new folder of the session; see exports.FORMATS."""
        return await asyncio.to_thread(self.result().write, self._folder.new(), extension)

    def _compare_again(self) -> None:
        if self._reference is not None:
            self._comparing = asyncio.get_running_loop().create_task(self._compare())

    async def _compare(self) -> None:
        """Score the result that there is; a later one is scored anew."""
        if self._segmentation is None or self._reference is None:
            return
        segmentation = self._segmentation
        try:
            scores = await asyncio.to_thread(compare, self.result(), self._reference)
        except SAMedError as error:
            self._reference = None
            self._state.reference = ""
            self.status.text = str(error)
            return
        if segmentation is self._segmentation:
            self.organs.score(scores)

    # ending

    def end(self) -> None:
        """End what is going on and delete everything: the next user finds nothing."""
        self.session += 1
        self._flow.abandon()
        self._forget_scan()
        self._folder.clear()
        self.status.text = ""
        self._state.details = ""
        self._views.show(None)
        self._update()

    def _forget_scan(self, keep: Scan | None = None) -> None:
        self.editing.end()
        nodes = [self._segmentation, self._scan.node if self._scan and self._scan is not keep else None]
        self._segmentation = self._scan = self._reference = None
        self._state.update({"reference": "", "notice": "", "notes": []})
        self.organs.clear()
        for node in nodes:
            if node is not None:
                self._views.scene.RemoveNode(node)

    def _show_details(self, text: str) -> None:
        self._state.details = text
        self._state.flush()

    def _find_models(self) -> None:
        """Those that can run without a download."""
        self._models = {choice.key: choice for choice in ModelCatalog().choices() if choice.ready}
        self._state.models = [{"title": choice.title, "value": key} for key, choice in self._models.items()]

    def _update(self) -> None:
        """What can be done now, and why not."""
        volume = self._scan.volume if self._scan else None
        self._state.update({"scan": _describe(volume), "busy": self._flow.busy, "reading": self._reading})
        if not self._flow.busy:
            reason = "" if volume else "Open a CT first."
            if self._reading:
                reason = "A file is being opened."
            self.button.enabled = not reason
            self.button.toolTip = reason or (_REPLACES if self.editing.edited else "")
        self._state.flush()


def _describe(volume: Volume | None) -> dict[str, str]:
    if volume is None:
        return {"name": "", "size": ""}
    size = " x ".join(map(str, volume.geometry.size))
    spacing = " x ".join(f"{step:.3g}" for step in volume.geometry.spacing)
    return {"name": volume.name, "size": f"{size} voxels of {spacing} mm"}
