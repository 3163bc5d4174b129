"""What the model runs on, and how long that takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.DeviceList import AUTO, DeviceList
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobStrip import JobStrip


class DevicePicker:
    """The devices to choose from; "Check" finds them and measures the model on each, in a child process."""

    def __init__(self, ui: Any, host: Host, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._host = host
        self._onChanged = onChanged
        self._model = ""
        self._slices = 0
        self._effort = 1.0
        self._found: DeviceList | None = None
        self._names: list[str] = []
        self._filling = False
        self._folder: Path | None = None
        self._checked = ("", {})
        self._strip = JobStrip(ui.checkDevicesButton, ui.deviceProgressBar, ui.deviceStatusLabel, host, self._onCheck)
        ui.deviceSelector.connect("currentIndexChanged(int)", self._onSelected)
        self._fill(AUTO)

    @property
    def current(self) -> str:
        """For --device."""
        index = self._ui.deviceSelector.currentIndex
        return self._names[index] if 0 <= index < len(self._names) else AUTO

    def refresh(self, device: str) -> None:
        """Choose a device."""
        self._fill(device or AUTO)
        self._tell()

    def setTask(self, model: str, slices: int, effort: float) -> None:
        """What is to be segmented, for the expected time; `effort` is how much more than usual a slice takes."""
        self._slices, self._effort = slices, effort
        if model != self._model:
            self._model = model
            self._found = DeviceList.remembered(self._host, model)
            self._fill(self.current)
        self._tell()

    def expectation(self) -> str:
        """For example "CPU, 2 threads: about 40 s for 96 slices."; "" if it was never measured."""
        if self._found is None or self._found.seconds(self._slices, self.current) is None or not self._slices:
            return ""
        return self._found.text(self._slices, self.current, self._effort)

    def abandon(self) -> None:
        """The module goes: end a check."""
        self._strip.abandon()
        self._removeFolder()

    def _fill(self, device: str) -> None:
        usable = self._found.usable if self._found else ()
        titles = {AUTO: _("Automatic"), **{entry.name: entry.title for entry in usable}}
        titles.setdefault(device, device)
        self._names = list(titles)
        self._filling = True
        self._ui.deviceSelector.clear()
        self._ui.deviceSelector.addItems(list(titles.values()))
        self._ui.deviceSelector.currentIndex = self._names.index(device)
        self._filling = False

    def _tell(self) -> None:
        if self._strip.busy:
            return
        if self._found is None:
            text = _("The fastest device that works is taken. Check tells which, and how long it takes.")
        else:
            text = self._found.text(self._slices, self.current, self._effort)
        self._strip.say(text)

    def _onSelected(self, index: int) -> None:
        if not self._filling:
            self._tell()
            self._onChanged()

    def _onCheck(self) -> None:
        if not self._host.ensureReady():
            return
        self._checked = (self._model, {})
        self._folder = self._host.temporaryFolder()
        command = ["devices", "--model", self._model] if self._model else ["devices"]
        self._strip.run(command, self._folder / "job", onEvent=self._onEvent, onFinished=self._onChecked)

    def _onEvent(self, event: dict) -> None:
        if event.get("event") == "result":
            self._checked = (self._checked[0], event)

    def _onChecked(self, job: Job, ok: bool, message: str) -> None:
        details = self._strip.details
        model, result = self._checked
        self._removeFolder()
        try:
            found = DeviceList.fromResult(result) if ok else None
        except ValueError as error:
            found, message = None, _("The devices could not be read ({reason}).").format(reason=error)
        if found is not None:
            found.remember(self._host, model)
            if model == self._model:
                self._found = found
                self._fill(self.current)
            self._tell()
        self._onChanged()
        if found is None:
            self._strip.say(message, details)

    def _removeFolder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
