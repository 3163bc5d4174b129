"""The trainings that this user started, so that they are found again."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
from pathlib import Path

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.TrainingRun import RUNNING, TrainingRun

_KEY = "trainingRuns"
_KEPT = 50


class TrainingRuns:
    """A list of run folders in the application's settings, which all Slicers of this user share."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def all(self) -> list[TrainingRun]:
        """The newest first; folders that are not there (a drive that is off) are passed over, not forgotten."""
        return [TrainingRun(folder) for folder in reversed(self._folders()) if os.path.isdir(folder)]

    def add(self, folder: Path) -> TrainingRun:
        folders = [known for known in self._folders() if known != str(folder)]
        self._host.setSetting(_KEY, json.dumps([*folders, str(folder)][-_KEPT:]))
        return TrainingRun(folder)

    def discard(self, run: TrainingRun) -> None:
        """Forget a training that never began, and remove what its job left."""
        shutil.rmtree(run.jobFolder, ignore_errors=True)
        with contextlib.suppress(OSError):
            run.folder.rmdir()
        self._host.setSetting(_KEY, json.dumps([known for known in self._folders() if known != str(run.folder)]))

    def running(self) -> TrainingRun | None:
        return next((run for run in self.all() if run.state() == RUNNING), None)

    def _folders(self) -> list[str]:
        try:
            saved = json.loads(self._host.setting(_KEY) or "[]")
        except ValueError:
            return []
        return [entry for entry in saved if isinstance(entry, str)] if isinstance(saved, list) else []


def newRunFolder(parent: Path, dataset: Path, now: datetime.datetime | None = None) -> Path:
    """A folder that does not exist, named after the data and the time."""
    when = (now or datetime.datetime.now()).strftime("%Y-%m-%d %H.%M")
    folder, number = parent / f"{dataset.name} {when}", 1
    while folder.exists():
        number += 1
        folder = parent / f"{dataset.name} {when} ({number})"
    return folder


def defaultParent(dataset: Path) -> Path:
    """Beside the dataset, or in the user's documents where that cannot be written."""
    beside = dataset.parent
    if beside.is_dir() and os.access(beside, os.W_OK):
        return beside / "SAMed runs"
    documents = Path.home() / "Documents"
    return (documents if documents.is_dir() else Path.home()) / "SAMed runs"
