"""What a person is told of a failure."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from SAMedLib.errors import SAMedError, is_out_of_memory
from SAMedLib.files import WORKING

_REMEDIES = {
    errno.EACCES: "check that you may read and write there",
    errno.EPERM: "check that you may read and write there",
    errno.ENOENT: "check the path",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "remove the circle of links",
    errno.EROFS: "choose another folder",
    errno.ENOSPC: "free some space, or choose another folder",
    errno.EDQUOT: "free some space, or choose another folder",
    errno.EMFILE: "close other programs",
    errno.ENFILE: "close other programs",
}


def sentence_of(error: Exception) -> str:
    """What a person is told of a failure: one sentence, with what to do."""
    if isinstance(error, SAMedError):
        return str(error)
    if is_out_of_memory(error):
        return "Memory ran out; close other programs or use a smaller batch."
    if isinstance(error, OSError):
        return _describe(error)
    if isinstance(error, ModuleNotFoundError):
        return f"The Python package {error.name} is missing; install what SAMed needs, again."
    sentence = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
    return f"Unexpected failure, please report it with SAMED_DEBUG=1 set: {sentence}."


def _describe(error: OSError) -> str:
    # a failed rename names the temporary file first, and second the one that the user knows
    path = error.filename2 or error.filename
    if path and isinstance(error, (FileExistsError, NotADirectoryError)):
        return f"{path} is a file, or below one, where a folder is needed; give another path."
    if path and isinstance(error, IsADirectoryError):
        return f"{path} is a folder where a file is needed; give another path."
    reason = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "check the disk and the path")
    return f"{_without_working_folder(path)}: {reason}; {remedy}." if path else f"{reason}; {remedy}."


def _without_working_folder(path: str | bytes | int) -> str:
    """The folder that the user knows, where the path is of a file that is not finished yet."""
    parts = Path(os.fsdecode(path) if isinstance(path, bytes) else str(path)).parts
    hidden = next((number for number, part in enumerate(parts) if part.startswith(WORKING)), len(parts))
    return str(Path(*parts[:hidden]))
