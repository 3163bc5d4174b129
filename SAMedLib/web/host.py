"""What the classes of the 3D Slicer module need of the application they run in, here a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from SAMedLib.web.private_folder import PrivateFolder
from SAMedSlicerLib.ChildPython import ChildPython


class WebHost:
    """The parts of SAMedSlicerLib's Host that segmenting uses.

    Args:
        show_info: shows a longer text to the user.
    """

    def __init__(self, scene: Any, folder: PrivateFolder, show_info: Callable[[str], None]) -> None:
        self.scene = scene
        self._folder = folder
        self.showInfo = show_info

    def confirm(self, text: str) -> bool:
        """The page shows doubts about a scan as soon as it is open, and goes on when asked to."""
        return True

    def temporaryFolder(self) -> Path:
        return self._folder.new()

    def python(self) -> ChildPython:
        return ChildPython()

    def timer(self) -> LoopTimer:
        return LoopTimer()


class LoopTimer:
    """A repeating timer of the event loop, in the words of qt.QTimer."""

    def __init__(self) -> None:
        self.interval = 0  # ms
        self._slots: list[Callable[[], None]] = []
        self._next: asyncio.TimerHandle | None = None

    @property
    def active(self) -> bool:
        return self._next is not None

    def connect(self, signal: str, slot: Callable[[], None]) -> None:
        self._slots.append(slot)

    def start(self) -> None:
        self.stop()
        self._next = asyncio.get_running_loop().call_later(self.interval / 1000, self._tick)

    def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def deleteLater(self) -> None:
        self.stop()

    def _tick(self) -> None:
        self.start()  # first, for a slot may stop it
        for slot in self._slots:
            slot()
