"""A process that may not be our child, told apart from a later one that got the same number."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from SAMedSlicerLib.ChildPython import hiddenWindow


@dataclass(frozen=True)
class RunningProcess:
    """A process by its number and the moment it started.

    Attributes:
        pid: its number; also that of the group of processes that it leads.
        startTime: when it started, in words of the system; only equal or not equal.
    """

    pid: int
    startTime: str

    @classmethod
    def of(cls, pid: int) -> RunningProcess | None:
        """The process that has this number now; None if there is none."""
        startTime = _startTime(pid)
        return cls(pid, startTime) if startTime else None

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that has ended and waits to be asked for its exit code does not."""
        return _startTime(self.pid) == self.startTime

    def end(self, force: bool = False) -> None:
        """Ask the process and those it started to end, or make them. Returns at once."""
        if not self.alive:
            return
        if sys.platform == "win32":
            _endTreeOnWindows(self.pid)
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL if force else signal.SIGTERM)


def _startTimeOnWindows(pid: int) -> str | None:
    import ctypes
    from ctypes import wintypes

    query, synchronize, still_running = 0x1000, 0x00100000, 0x102
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = wintypes.HANDLE
    kernel.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
    kernel.WaitForSingleObject.argtypes = [wintypes.HANDLE, wintypes.DWORD]
    kernel.GetProcessTimes.argtypes = [wintypes.HANDLE, *[ctypes.POINTER(wintypes.FILETIME)] * 4]
    kernel.CloseHandle.argtypes = [wintypes.HANDLE]
    handle = kernel.OpenProcess(query | synchronize, False, pid)
    if not handle:
        return None
    try:
        if kernel.WaitForSingleObject(handle, 0) != still_running:
            return None
        times = [wintypes.FILETIME() for _ in range(4)]
        if not kernel.GetProcessTimes(handle, *times):
            return None
        return str((times[0].dwHighDateTime << 32) | times[0].dwLowDateTime)
    finally:
        kernel.CloseHandle(handle)


def _startTimeOnLinux(pid: int) -> str | None:
    try:
        # the name stands in brackets and may itself hold brackets and blanks
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot} {fields[19]}"


def _startTimeFromPs(pid: int) -> str | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass  # it belongs to someone else
    return _shownByPs(pid, int(time.monotonic()))


@functools.lru_cache(maxsize=8)
def _shownByPs(pid: int, second: int) -> str | None:
    """Asked at most once a second: another program has to be started for it."""
    try:
        command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
        environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}  # the same words, whoever asks and when
        shown = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    state, _, started = shown.stdout.strip().partition(" ")
    return None if not started or "Z" in state else " ".join(started.split())


_startTime = {"win32": _startTimeOnWindows, "linux": _startTimeOnLinux}.get(sys.platform, _startTimeFromPs)


def _endTreeOnWindows(pid: int) -> None:
    """There is no gentle way on Windows for a process without a window: the stop file is that."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = ["taskkill", "/T", "/F", "/PID", str(pid)]
        subprocess.run(command, capture_output=True, timeout=2, creationflags=hiddenWindow(), check=False)
