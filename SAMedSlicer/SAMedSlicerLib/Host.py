"""What the tabs need of the application they run in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from SAMedSlicerLib.ChildPython import ChildPython


class Timer(Protocol):
    """A repeating timer on the main thread, as qt.QTimer."""

    interval: int
    active: bool

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def connect(self, signal: str, slot: Callable[[], None]) -> Any: ...

    def deleteLater(self) -> None: ...


class Host(Protocol):
    """The application around a tab: its scene, its dialogs, its settings, its views.

    SlicerHost is the one inside 3D Slicer. Everything is called on the main thread.
    """

    @property
    def scene(self) -> Any:
        """The vtkMRMLScene."""

    def confirm(self, text: str) -> bool:
        """Whether the user says yes."""

    def choose(self, text: str, options: Sequence[str]) -> str | None:
        """The option that the user picks, None if the question was cancelled."""

    def showError(self, text: str) -> None: ...

    def showInfo(self, text: str) -> None: ...

    def chooseFolder(self, title: str) -> str | None: ...

    def chooseFile(self, title: str, filter: str) -> str | None: ...

    def saveFile(self, title: str, name: str, filter: str) -> str | None:
        """A file name to write to; `filter` as in Qt, for example "Table (*.csv)"."""

    def temporaryFolder(self) -> Path:
        """A new folder that only this user can read; whoever asks removes it, at the latest it goes at exit.

        Raises OSError if there is no place for it.
        """

    def setting(self, key: str, default: str = "") -> str: ...

    def setSetting(self, key: str, value: str) -> None: ...

    def python(self) -> ChildPython:
        """The interpreter for child processes."""

    def timer(self) -> Timer: ...

    def ensureReady(self) -> bool:
        """Whether all that a child process imports is installed; asks and installs if not, and says so if it fails."""

    def openModule(self, name: str, node: Any = None) -> None:
        """Switch to another module, with `node` as its input where it has one."""

    def showVolume(self, volumeNode: Any, segmentationNode: Any = None) -> None:
        """Put the volume into the slice views."""

    def show3D(self, segmentationNode: Any) -> None: ...

    def jumpTo(self, ras: Sequence[float]) -> None:
        """Centre the slice views on a point in RAS world coordinates, mm."""

    def showTable(self, tableNode: Any) -> None: ...

    def showChart(self, chartNode: Any) -> None: ...
