"""Fields for files and folders."""

from __future__ import annotations

import os

from PySide6 import QtCore, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty


@standIn()
class ctkPathLineEdit(QtWidgets.QWidget):
    """A path that may be typed, with a button that browses for it."""

    # the Filter enumeration
    Dirs, Files, Drives, NoSymLinks = 0x001, 0x002, 0x004, 0x008
    Readable, Writable, Executable, Hidden, System = 0x010, 0x020, 0x040, 0x100, 0x200

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)

    _edit: QtWidgets.QLineEdit
    _valid: bool

    filters = storedProperty("filters", int, 0x001 | 0x002 | 0x004 | 0x010)
    nameFilters = storedProperty("nameFilters", "QStringList", [])
    label = storedProperty("label", str, "")
    settingKey = storedProperty("settingKey", str, "")
    options = storedProperty("options", int, 0)
    showBrowseButton = storedProperty("showBrowseButton", bool, True)
    showHistoryButton = storedProperty("showHistoryButton", bool, True)
    minimumContentsLength = storedProperty("minimumContentsLength", int, 0)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._edit = QtWidgets.QLineEdit(self)
        self._valid = False
        button = QtWidgets.QToolButton(self)
        button.text = "..."
        button.connect("clicked()", self.browse)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._edit)
        row.addWidget(button)
        self._edit.textChanged.connect(self._onTextChanged)

    def _onTextChanged(self, text: str) -> None:
        """As in CTK any text is valid, be there such a file or not."""
        self.currentPathChanged.emit(text)
        if not self._valid:
            self._valid = True
            self.validInputChanged.emit(True)

    def _readPath(self) -> str:
        return self._edit.text

    def setCurrentPath(self, path: str) -> None:
        self._edit.setText(path)

    currentPath = QtCore.Property(str, _readPath, setCurrentPath)

    def browse(self) -> None:
        """Ask for a folder if only folders are allowed, else for a file: to write where Writable is set."""
        dialog = QtWidgets.QFileDialog
        if self.filters & 0x003 == self.Dirs:
            path = dialog.getExistingDirectory(self, self.label or "Select folder...", self.currentPath)
        else:
            ask = dialog.getSaveFileName if self.filters & self.Writable else dialog.getOpenFileName
            path = ask(self, self.label or "Open a file", self.currentPath, ";;".join(self.nameFilters))
        if path:
            self.setCurrentPath(path)

    def addCurrentPathToHistory(self) -> None:
        """The history is the application's; here there is none."""

    def retrieveHistory(self) -> None:
        """See addCurrentPathToHistory."""


@standIn()
class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder and asks for another one."""

    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)

    _button: QtWidgets.QPushButton
    _directory: str

    caption = storedProperty("caption", str, "")
    text = storedProperty("text", str, "")
    acceptMode = storedProperty("acceptMode", int, 0)
    options = storedProperty("options", int, 1)

    def __init__(self, *arguments: object) -> None:
        super().__init__(next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None))
        self._directory = next((a for a in arguments if isinstance(a, str)), ".")
        self._button = QtWidgets.QPushButton(os.path.abspath(self._directory), self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._button)
        self._button.connect("clicked()", self.browse)

    def _readDirectory(self) -> str:
        return self._directory

    def _writeDirectory(self, path: str) -> None:
        """As QDir: the empty path is the current folder. A new folder is kept as an absolute path."""
        path = os.path.abspath(path).replace(os.sep, "/")
        if path == os.path.abspath(self._directory).replace(os.sep, "/"):
            return
        self._directory = path
        self._button.text = path
        self.directoryChanged.emit(path)

    directory = QtCore.Property(str, _readDirectory, _writeDirectory)

    def browse(self) -> str:
        path = QtWidgets.QFileDialog.getExistingDirectory(self, self.caption, self.directory)
        if path:
            self._writeDirectory(path)
            self.directorySelected.emit(path)
        return path
