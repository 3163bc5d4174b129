"""What the model runs on, and how long that takes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobStrip import JobStrip
from SAMedSlicerLib.Progress import duration

_SETTING = "devices"
_AUTO = "auto"


class DevicePicker:
    """The list of devices; "Check" finds them and measures the model on each, in a child process.

    What was found is kept in the application's settings, for each model.
    """

    def __init__(self, ui: Any, host: Host, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._host = host
        self._onChanged = onChanged
        self._model = ""
        self._slices = 0
        self._effort = 1.0
        self._names: list[str] = []
        self._filling = False
        self._folder: Path | None = None
        self._answer: dict[str, Any] = {}
        self._strip = JobStrip(ui.checkDevicesButton, ui.deviceProgressBar, ui.deviceStatusLabel, host, self._onCheck)
        ui.deviceSelector.connect("currentIndexChanged(int)", self._onSelected)
        self._fill(_AUTO)

    @property
    def current(self) -> str:
        """For --device."""
        index = self._ui.deviceSelector.currentIndex
        return self._names[index] if 0 <= index < len(self._names) else _AUTO

    def refresh(self, device: str) -> None:
        """Choose a device."""
        self._fill(device or _AUTO)
        self._tell()

    def setTask(self, model: str, slices: int, effort: float) -> None:
        """What is to be segmented, for the expected time; `effort` is how much more than usual a slice takes."""
        self._slices, self._effort = slices, effort
        if model != self._model:
            self._model = model
            self._fill(self.current)
        if not self._strip.busy:
            self._tell()

    def expectation(self) -> str:
        """For example "About 40 s for 96 slices on CPU, 2 threads."; "" if it was never measured."""
        device = self._device()
        if not device or not device.get("seconds_per_slice") or not self._slices:
            return ""
        seconds = device["seconds_per_slice"] * self._slices * self._effort
        text = _("{time} for {slices} slices on {device}.").format(
            time=duration(seconds), slices=self._slices, device=device["title"]
        )
        return text[:1].upper() + text[1:]

    def abandon(self) -> None:
        self._strip.abandon()
        self._removeFolder()

    def _found(self) -> Mapping[str, Any]:
        """What was measured for the model; {} if nothing was."""
        return _measured(self._host).get(self._model, {})

    def _device(self) -> Mapping[str, Any]:
        found = self._found()
        name = found.get("default", "") if self.current == _AUTO else self.current
        return next((device for device in found.get("devices", ()) if device["name"] == name), {})

    def _fill(self, device: str) -> None:
        found = self._found()
        usable = [entry for entry in found.get("devices", ()) if entry.get("usable", True)]
        self._names = [_AUTO, *(entry["name"] for entry in usable)]
        titles = [_("Automatic"), *(entry["title"] for entry in usable)]
        if device not in self._names:
            self._names.append(device)
            titles.append(device)
        self._filling = True
        self._ui.deviceSelector.clear()
        self._ui.deviceSelector.addItems(titles)
        self._ui.deviceSelector.currentIndex = self._names.index(device)
        self._filling = False

    def _tell(self) -> None:
        found, device = self._found(), self._device()
        if not found:
            text = _("The fastest device that works is taken; Check finds out which, and how long it takes.")
        elif self.current == _AUTO:
            text = " ".join(filter(None, (_sentence(found.get("reason", "")), self.expectation())))
        else:
            text = " ".join(filter(None, (_sentence(device.get("why", "")), self.expectation())))
        self._strip.say(text)

    def _onSelected(self, index: int) -> None:
        if not self._filling:
            self._tell()
            self._onChanged()

    def _onCheck(self) -> None:
        if not self._host.ensureReady():
            return
        self._answer = {}
        self._folder = self._host.temporaryFolder()
        command = ["devices", "--model", self._model] if self._model else ["devices"]
        self._strip.run(command, self._folder / "job", onEvent=self._onEvent, onFinished=self._onChecked)
        self._onChanged()

    def _onEvent(self, event: dict) -> None:
        if event.get("event") == "result":
            self._answer = {key: event[key] for key in ("devices", "default", "reason", "problem") if key in event}

    def _onChecked(self, job: Job, ok: bool, message: str) -> None:
        details = self._strip.details
        self._removeFolder()
        if ok and self._answer.get("devices"):
            self._host.setSetting(_SETTING, json.dumps({**_measured(self._host), self._model: self._answer}))
            self._fill(self.current)
            self._tell()
        else:
            self._strip.say(message, details)
        self._onChanged()

    def _removeFolder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _measured(host: Host) -> dict[str, Any]:
    try:
        found = json.loads(host.setting(_SETTING, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _sentence(text: str) -> str:
    return text if not text or text.endswith(".") else f"{text}."
