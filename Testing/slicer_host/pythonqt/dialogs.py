"""Modal dialogs: answered from a list, since nobody sits at the screen; static functions return what PythonQt's do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import shiboken6
from PySide6 import QtCore, QtWidgets

_PATIENCE_MS = 3000
_TOO_LATE = -77


class UnexpectedDialog(AssertionError):
    """A modal dialog was opened that no test prepared an answer for; in the application it would wait for the user."""


class Dialogs:
    """What the dialogs said (`shown`) and what they will be answered.

    An answer is what the dialog returns: a button for a message box, a path or text for a question, a dialog code
    for others; or a function that gets the dialog (for static functions: the text) and returns that.
    """

    def __init__(self) -> None:
        self.shown: list[str] = []
        self._answers: list[Any] = []

    @contextmanager
    def answering(self, *answers: Any) -> Iterator[list[str]]:
        """Answer the dialogs opened in the block, in this order; gives the list of what they say."""
        self.shown, self._answers = [], list(answers)
        try:
            yield self.shown
            if self._answers:
                raise AssertionError(f"{len(self._answers)} prepared answers were not asked for; shown: {self.shown}")
        finally:
            self._answers = []

    def answersAreLeft(self) -> bool:
        return bool(self._answers)

    def ask(self, text: str, dialog: Any = None) -> Any:
        self.shown.append(text)
        if not self._answers:
            raise UnexpectedDialog(f"a modal dialog waits for the user: {text}")
        answer = self._answers.pop(0)
        if callable(answer):
            return answer(text if dialog is None else dialog)
        return answer


class BoolResult:
    """PythonQt's argument for C++ `bool* ok`."""

    def __init__(self) -> None:
        self._value = False

    def value(self) -> bool:
        return self._value

    def setValue(self, value: bool) -> None:
        self._value = value


def install(dialogs: Dialogs) -> None:
    """Route every modal dialog of Qt to `dialogs`."""

    def execute(self: QtWidgets.QDialog, *_: Any) -> Any:
        return dialogs.ask(_textOf(self), self)

    waitForUser = QtWidgets.QDialog.exec

    def executeSelfClosing(self: QtWidgets.QDialog, *_: Any) -> Any:
        """A popup such as slicer.util.delayDisplay may close by itself; any other gets an answer."""
        if dialogs.answersAreLeft():
            return execute(self)
        text = _textOf(self)
        patience = QtCore.QTimer()
        patience.setSingleShot(True)
        patience.timeout.connect(lambda: shiboken6.isValid(self) and self.done(_TOO_LATE))
        patience.start(_PATIENCE_MS)
        code = waitForUser(self)
        patience.stop()
        if code == _TOO_LATE:
            raise UnexpectedDialog(f"a modal dialog waits for the user: {text}")
        return code

    QtWidgets.QDialog.exec = QtWidgets.QDialog.exec_ = executeSelfClosing
    for kind in (QtWidgets.QMessageBox, QtWidgets.QFileDialog, QtWidgets.QInputDialog):
        for name in ("exec", "exec_"):
            setattr(kind, name, execute)
    for name in ("information", "question", "warning", "critical", "about"):
        setattr(QtWidgets.QMessageBox, name, staticmethod(_asker(dialogs, textAt=2)))
    # PythonQt gives no filter back, and paths as plain text
    for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory", "getOpenFileNames"):
        setattr(QtWidgets.QFileDialog, name, staticmethod(_asker(dialogs, textAt=1)))
    for name in ("getText", "getItem", "getInt", "getDouble"):
        setattr(QtWidgets.QInputDialog, name, staticmethod(_questioner(dialogs)))


def _textOf(dialog: QtWidgets.QDialog) -> str:
    if isinstance(dialog, QtWidgets.QMessageBox):
        return "\n".join(part for part in (dialog.text, dialog.informativeText) if part)
    return dialog.windowTitle or dialog.metaObject().className()


def _asker(dialogs: Dialogs, textAt: int) -> Callable[..., Any]:
    def ask(*arguments: Any) -> Any:
        return dialogs.ask(_argument(arguments, textAt))

    return ask


def _questioner(dialogs: Dialogs) -> Callable[..., Any]:
    """None as the answer is Cancel: the empty value, and False in the BoolResult if one was given."""

    def ask(*arguments: Any) -> Any:
        answer = dialogs.ask(_argument(arguments, 2))
        for argument in arguments:
            if isinstance(argument, BoolResult):
                argument.setValue(answer is not None)
        return "" if answer is None else answer

    return ask


def _argument(arguments: Sequence[Any], index: int) -> str:
    return str(arguments[index]) if len(arguments) > index else ""
