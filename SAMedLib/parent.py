"""Noticing that another process is gone: so that no job works on unseen after its program crashed, for one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

VARIABLE = "SAMED_PARENT_PID"


def parent_watch() -> Callable[[], bool]:
    """A function that tells whether to work on: False once the process that SAMED_PARENT_PID names is gone.

    Always True without that variable. The variable is taken out of the environment: children of the job have another
    parent.
    """
    named = os.environ.pop(VARIABLE, "")
    if not named.isdecimal() or int(named) == 0:
        return lambda: True
    if sys.platform == "win32":
        return _watch_on_windows(int(named))
    return lambda: is_alive(int(named))


def is_alive(pid: int) -> bool:
    """Whether a process of this computer has this number."""
    if sys.platform == "win32":
        return _watch_on_windows(pid)()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it belongs to someone else
    return True


def _watch_on_windows(pid: int) -> Callable[[], bool]:
    """Hold on to the process itself: its number may be given to another one."""
    import ctypes
    from ctypes import wintypes

    synchronize, still_running = 0x00100000, 0x102
    kernel = ctypes.WinDLL("kernel32")
    kernel.OpenProcess.restype = wintypes.HANDLE
    kernel.OpenProcess.argtypes = [wintypes.DWORD, wintypes.BOOL, wintypes.DWORD]
    kernel.WaitForSingleObject.argtypes = [wintypes.HANDLE, wintypes.DWORD]
    handle = kernel.OpenProcess(synchronize, False, pid)
    return lambda: bool(handle) and kernel.WaitForSingleObject(handle, 0) == still_running
