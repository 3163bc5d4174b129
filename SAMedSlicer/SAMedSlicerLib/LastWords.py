"""Why a child process ended, in one sentence for the person who started it."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path

from slicer.i18n import tr as _

_TAIL = 1 << 16  # bytes of messages that are looked at
_LONGEST = 300  # characters of a message that are shown
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*(?:Error|Exception|Interrupt)):?(?:$| (.*))")
_NO_MODULE = re.compile(r"No module named '?([\w.]+)'?")
_LIBRARY = re.compile(r"DLL load failed|cannot open shared object|Library not loaded|undefined symbol|WinError 126")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Windows says these with an exit code; Python shows them unsigned or signed
_WINDOWS_NO_MEMORY = {0xC0000017, 0xC000012D}
_WINDOWS_NO_LIBRARY = {0xC0000135, 0xC0000139, 0xC0000142}


def whyItEnded(command: Sequence[str], returnCode: int | None, messages: Path, stays: bool) -> str:
    """One sentence or two: what happened, and what to do. For a child that said nothing itself through an event.

    Args:
        returnCode: of the process, None if nobody knows.
        messages: the file with all that it wrote to standard error.
        stays: whether that file is there when the user reads the sentence, so that it is worth naming.
    """
    subject = _subject(command)
    where = " " + _("The full text is in {path}.").format(path=messages) if stays else ""
    if returnCode is not None and (returnCode < 0 or returnCode >= 0xC0000000):
        return _ofSignal(subject, returnCode) + where
    lines = _meaningfulLines(messages)
    fatal = [line for line in lines if line.startswith("Fatal Python error")]  # more follows, which says less
    for line in fatal or reversed(lines):
        sentence = _ofLine(line)
        if sentence:
            return sentence + where
    if lines and returnCode not in (None, 0):
        return _("{subject} ended unexpectedly: {line}.").format(subject=subject, line=_short(lines[-1])) + where
    if returnCode is None:
        return _(
            "{subject} ended unexpectedly, and nobody saw how; perhaps memory ran out, or the computer was restarted."
        ).format(subject=subject)
    return _("{subject} ended unexpectedly (exit code {code}); please try again.").format(
        subject=subject, code=returnCode
    )


def forPeople(message: str) -> str:
    """The library's last sentence; what it tells developers is for the messages only."""
    unexpected = re.match(r"Unexpected failure, [^:]*: (.*)", message)
    if not unexpected:
        return message
    return _("Something unexpected happened: {text}. Please report it to the developers of SAMed.").format(
        text=_short(unexpected.group(1))
    )


def _subject(command: Sequence[str]) -> str:
    names = {
        "segment": _("The segmentation"),
        "train": _("The training"),
        "evaluate": _("The evaluation"),
        "prepare": _("The preparation of the data"),
        "weights": _("The work on model files"),
        "devices": _("The search for devices"),
    }
    return names.get(command[0] if command else "", _("The work"))


def _ofSignal(subject: str, returnCode: int) -> str:
    number = -returnCode if 0 > returnCode > -65 else 0
    status = returnCode & 0xFFFFFFFF
    if number == 9 or status in _WINDOWS_NO_MEMORY:
        return _(
            "{subject} was ended by the system (exit code {code}), most likely because memory ran out; close other "
            "programs or volumes, or choose a smaller model, and try again."
        ).format(subject=subject, code=returnCode)
    if number in (1, 2, 15):
        return _("{subject} was ended by another program or because the computer shuts down; start it again.").format(
            subject=subject
        )
    if status in _WINDOWS_NO_LIBRARY:
        return _libraryProblem()
    name = signal.Signals(number).name if number in set(signal.Signals) else hex(status)
    return _(
        "{subject} crashed ({name}); try again with CPU as the device, and if it crashes there too, reinstall PyTorch "
        "in the module PyTorch Utils."
    ).format(subject=subject, name=name)


def _ofLine(line: str) -> str:
    """What a line of Python's or argparse's says, in other words; empty if it is none of those."""
    if line.startswith("Fatal Python error"):
        return _("Python could not start ({line}); install Slicer, or this extension, again.").format(line=_short(line))
    missing = _NO_MODULE.search(line)
    if missing:
        package = missing.group(1).split(".")[0]
        if package == "SAMedLib":
            return _("SAMedLib, the part that does the work, was not found; install the SAMed extension again.")
        return _("The Python package {package} is missing; start again and agree to the installation.").format(
            package=package
        )
    if _LIBRARY.search(line):
        return _libraryProblem()
    if " error: " in line and line.startswith(("samed", "__main__")):
        return _("The panel asked for something that this version of SAMedLib does not know ({reason}).").format(
            reason=_short(line.partition(" error: ")[2])
        )
    exception = _EXCEPTION.match(line)
    if not exception:
        return ""
    name, text = exception.groups()
    if name == "MemoryError" or "out of memory" in (text or ""):
        return _("Memory ran out; close other programs or volumes, or choose a smaller model, and try again.")
    if not text:
        return _("Something unexpected happened: {name}.").format(name=name)
    return _("Something unexpected happened: {text} ({name}).").format(text=_short(text), name=name)


def _libraryProblem() -> str:
    return _("A library of PyTorch could not be loaded; reinstall PyTorch in the module PyTorch Utils.")


def _meaningfulLines(messages: Path) -> list[str]:
    """The end of what was printed, without progress bars, warnings and the inside of tracebacks."""
    try:
        with open(messages, "rb") as file:
            file.seek(max(0, messages.stat().st_size - _TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = [_ESCAPES.sub("", line).rstrip() for line in text.splitlines()]
    return [line for line in lines if line and not line[0].isspace() and "Warning:" not in line and not _isFrame(line)]


def _isFrame(line: str) -> bool:
    return line.startswith(("Traceback (most recent", "During handling of", "The above exception", "usage:")) or bool(
        re.search(r"\d+%\|", line)
    )


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
