"""A child process of the library whose output goes to files, so that it can outlive Slicer and be found again."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.ChildPython import ChildPython
from SAMedSlicerLib.EventFile import EventFile, lastEvent
from SAMedSlicerLib.LastWords import forPeople, whyItEnded
from SAMedSlicerLib.RunningProcess import RunningProcess

CANCELLED = 130  # the library's exit code
_RECORD, _EVENTS, _MESSAGES, _STOP = "job.json", "events.jsonl", "messages.txt", "stop"


class JobError(Exception):
    """A job cannot be started; the text is a sentence for the user."""


class Job:
    """`python -m SAMedLib COMMAND ... --events --stop-file FOLDER/stop`, running in a folder of its own.

    A job that is not detached ends with the process that started it: it is killed when the panel goes, and if that
    process crashes, the child notices by itself.

    Args:
        folder: for the job's files only, made private; not a training run's folder, but for example `job` below it.
        command: a command of the library and its arguments; paths in it are absolute.
        detached: whether it goes on when this process ends.
    """

    def __init__(self, folder: Path, command: Sequence[str], python: ChildPython, detached: bool = False) -> None:
        self.folder = Path(folder).absolute()
        self.command = [str(part) for part in command]
        self.detached = detached
        self._python = python
        self._events = EventFile(self.folder / _EVENTS)
        self._process: subprocess.Popen | None = None  # None also for a job that was found
        self._identity: RunningProcess | None = None

    def start(self) -> None:
        """Start the child.

        Raises:
            JobError: if that is not possible, or the folder is in use.
        """
        self._prepareFolder()
        command = [*self.command, "--events", "--stop-file", str(self.folder / _STOP)]
        try:
            with _newPrivateFile(self.folder / _EVENTS) as output, _newPrivateFile(self.folder / _MESSAGES) as messages:
                self._process = self._python.start(command, self.folder, output, messages, self.detached)
        except (OSError, ValueError) as error:
            self._forget()
            raise JobError(self._whyNotStarted(error)) from error
        self._identity = RunningProcess.of(self._process.pid) or RunningProcess(self._process.pid, "")
        self._events = EventFile(self.folder / _EVENTS)
        self._writeRecord()

    @classmethod
    def find(cls, folder: Path) -> Job | None:
        """The job that was last started in a folder, by this or another process, running or not; None if there is none.

        Its events come from the start.
        """
        try:
            record = json.loads((Path(folder) / _RECORD).read_text(encoding="utf-8"))
            job = cls(folder, [str(part) for part in record["command"]], ChildPython(), bool(record["detached"]))
            job._identity = RunningProcess(int(record["pid"]), str(record["startTime"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return job

    def poll(self, mostLines: int | None = None) -> list[dict]:
        """The events that arrived since the last time, of at most `mostLines` lines; never half of one."""
        return self._events.read(mostLines)

    @property
    def caughtUp(self) -> bool:
        """Whether poll() has handed out everything that is there."""
        return self._events.atEnd

    @property
    def running(self) -> bool:
        if self._process:
            return self._process.poll() is None
        return self._identity is not None and self._identity.alive

    @property
    def returnCode(self) -> int | None:
        """The exit code, None while it runs.

        A job that handed out its result has code 0 even if it crashed while it closed down. Of a job that was found
        again it is what its last event tells, None if that is nothing.
        """
        if self._identity is None or self.running:
            return None
        ending = (lastEvent(self.folder / _EVENTS) or {}).get("event")
        if ending == "result":
            return 0
        if self._process:
            return self._process.poll()
        if ending == "error":
            return CANCELLED if self._stopWasAsked else 1
        return None

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well."""
        return self.returnCode == 0

    @property
    def cancelled(self) -> bool:
        """Whether it ended without a result because someone asked it to stop."""
        return not self.running and self._stopWasAsked and not self.succeeded

    def requestStop(self) -> None:
        """Ask the child to stop: it ends within moments, leaves nothing half-written, and a training is saved."""
        with contextlib.suppress(OSError):
            (self.folder / _STOP).touch(mode=0o600)

    def terminate(self, force: bool = False) -> None:
        """Tell the child and what it started to end (`force`: end them). Returns at once."""
        if self.running and self._identity:
            self._identity.end(force)

    def kill(self, patience_s: float = 1.5) -> None:
        """End the child and what it started, gently and after `patience_s` by force; returns when it is gone."""
        self.requestStop()
        self.terminate()
        self._wait(patience_s)
        self.terminate(force=True)
        self._wait(0.5)

    def lastWords(self) -> str:
        """Why it failed, in a sentence for the user; empty if it did not, or has not ended."""
        if self._identity is None or self.running or self.succeeded:
            return ""
        event = lastEvent(self.folder / _EVENTS) or {}
        if event.get("event") == "error" and event.get("message"):
            return forPeople(str(event["message"]))
        if self._stopWasAsked:
            return _("Cancelled.")
        return whyItEnded(self.command, self.returnCode, self.folder / _MESSAGES, stays=self.detached)

    @property
    def _stopWasAsked(self) -> bool:
        return (self.folder / _STOP).exists()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.running and time.monotonic() < end:
            time.sleep(0.01)

    def _prepareFolder(self) -> None:
        """An empty place for the job's files, that only this user can look into."""
        earlier = Job.find(self.folder)
        if earlier and earlier.running:
            raise JobError(_("Work is going on in {folder}; wait for it, or stop it.").format(folder=self.folder))
        if earlier is None and (self.folder / _EVENTS).exists():
            raise JobError(_("{folder} holds other files; choose another folder.").format(folder=self.folder))
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            self._forget()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise JobError(
                _("{folder} cannot be written ({reason}); choose another folder.").format(
                    folder=self.folder, reason=reason
                )
            ) from error

    def _forget(self) -> None:
        for name in (_RECORD, _STOP, _EVENTS, _MESSAGES):
            (self.folder / name).unlink(missing_ok=True)

    def _writeRecord(self) -> None:
        assert self._identity
        record = {
            "command": self.command,
            "pid": self._identity.pid,
            "startTime": self._identity.startTime,
            "detached": self.detached,
        }
        part = self.folder / f"{_RECORD}.part"
        try:
            with _newPrivateFile(part) as file:
                file.write(json.dumps(record, ensure_ascii=False, indent=1).encode("utf-8", errors="surrogateescape"))
            os.replace(part, self.folder / _RECORD)
        except OSError as error:
            self.kill(0)
            raise JobError(
                _("{folder} cannot be written ({reason}).").format(folder=self.folder, reason=error.strerror)
            ) from error

    def _whyNotStarted(self, error: Exception) -> str:
        number = getattr(error, "errno", None)
        windows = getattr(error, "winerror", None)
        if number == 7 or windows == 206:  # E2BIG, ERROR_FILENAME_EXCED_RANGE
            return _("There is too much to do in one go for this computer's command line; choose fewer cases.")
        if isinstance(error, (FileNotFoundError, PermissionError)) and not os.access(self._python.executable, os.X_OK):
            return _("Python could not be started: {path} is not there or cannot be run; install Slicer again.").format(
                path=self._python.executable
            )
        reason = getattr(error, "strerror", None) or str(error)
        return _("Python could not be started ({reason}); close other programs and try again.").format(reason=reason)


@contextlib.contextmanager
def _newPrivateFile(path: Path) -> Iterator[Any]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        yield file
