"""Which Python runs the child processes, and in which environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class ChildPython:
    """The interpreter for `python -m SAMedLib COMMAND`.

    Inside Slicer this is python-real: PythonSlicer only launches it, and ending a launcher does not end the work.

    Args:
        executable: the interpreter, None to find it.
        environment: variables that are added to this process's own; they win.
        module: what `-m` runs.
    """

    def __init__(
        self, executable: str | None = None, environment: Mapping[str, str] | None = None, module: str = "SAMedLib"
    ) -> None:
        self.executable = executable or shutil.which("python-real") or sys.executable
        self.module = module
        self._added = dict(environment or {})

    def arguments(self, command: Sequence[str]) -> list[str]:
        """The whole command line."""
        return [self.executable, "-m", self.module, *command]

    def environment(self) -> dict[str, str]:
        """All variables of a child."""
        paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        library = _libraryFolder()
        if library and library not in paths:
            paths.insert(0, library)
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "PYTHONFAULTHANDLER": "1",  # a crash in compiled code says where, in messages.txt
            "PYTHONSAFEPATH": "1",  # nothing that lies in the working folder is imported
            **self._added,
        }

    def start(
        self, command: Sequence[str], folder: Path, output: Any, messages: Any, outlivesUs: bool = False
    ) -> subprocess.Popen:
        """Start a child in `folder`, in a process group of its own, without a window.

        Args:
            output, messages: open files for what it prints.
            outlivesUs: whether it goes on when this process ends, however that happens.

        Raises:
            OSError, ValueError: if it cannot be started.
        """
        environment = self.environment()
        if not outlivesUs:
            environment["SAMED_PARENT_PID"] = str(os.getpid())
        options: dict[str, Any] = {
            "cwd": folder,
            "env": environment,
            "stdin": subprocess.DEVNULL,
            "stdout": output,
            "stderr": messages,
        }
        arguments = self.arguments(command)
        if sys.platform != "win32":
            return subprocess.Popen(arguments, start_new_session=True, **options)
        flags = hiddenWindow() | subprocess.CREATE_NEW_PROCESS_GROUP
        if outlivesUs:
            try:  # a service or a remote desktop may end all that it started, unless this is asked for
                breakaway = flags | subprocess.CREATE_BREAKAWAY_FROM_JOB
                return subprocess.Popen(arguments, creationflags=breakaway, **options)
            except PermissionError:
                pass  # where that is not allowed
        return subprocess.Popen(arguments, creationflags=flags, **options)


def _libraryFolder() -> str:
    """The folder that holds SAMedLib: a Slicer in development mode does not pass it on."""
    spec = importlib.util.find_spec("SAMedLib")
    return str(Path(spec.origin).parents[1]) if spec and spec.origin else ""


def hiddenWindow() -> int:
    """Flags that keep Windows from showing a console.

    Not DETACHED_PROCESS, also for children that outlive us: without any console, programs that the child itself starts
    would each open one. A child with a hidden console outlives its parent as well.
    """
    return subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0
