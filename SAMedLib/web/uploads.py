"""Files that the browser sends: to disk as they come, and never more than allowed."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

from SAMedLib.errors import SAMedError
from SAMedLib.weights.acquire import human_size

_CHUNK = 1 << 18
_MOST_FILES = 20_000
_LONGEST_NAME = 120
# they name the file with the voxels, which comes along
_HEADERS = (".mhd", ".nhdr", ".hdr")


async def receive(request: web.Request, folder: Path, most_bytes: int) -> Path:
    """Write the files of a multipart request into an empty folder.

    A field `folder` before them says what the folder is called that they come from.

    Returns:
        the file; of several the one that leads to the others, or a folder of that name: DICOM slices.

    Raises:
        SAMedError: if there are none, or they are too large.
    """
    if (request.content_length or 0) > most_bytes + _CHUNK:
        raise SAMedError(_too_large(most_bytes))
    if not request.content_type.startswith("multipart/"):
        raise SAMedError("No file arrived; choose one again.")
    files: list[Path] = []
    left = most_bytes
    async for part in await request.multipart():
        if getattr(part, "name", None) == "folder":
            folder = folder / plain_name((await part.read_chunk(_LONGEST_NAME)).decode(errors="replace"))
            folder.mkdir(exist_ok=True)
        if not getattr(part, "filename", None):
            continue
        if len(files) == _MOST_FILES:
            raise SAMedError(f"More than {_MOST_FILES} files were sent; choose the folder of one series.")
        path = _free(folder / plain_name(part.filename))
        with open(path, "xb") as file:
            while chunk := await part.read_chunk(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise SAMedError(_too_large(most_bytes))
                file.write(chunk)
        files.append(path)
    if not files:
        raise SAMedError("No file arrived; choose one again.")
    leading = [path for path in files if path.suffix.lower() in _HEADERS]
    return files[0] if len(files) == 1 else leading[0] if len(leading) == 1 else folder


def plain_name(name: str) -> str:
    """The last part of a name that came from outside, with nothing in it that means something to a file system."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w.+ -]", "_", last)[-_LONGEST_NAME:].lstrip(". ")
    return plain or "file"


def _free(path: Path) -> Path:
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{number}-{path.name}")
    return free


def _too_large(most_bytes: int) -> str:
    return (
        f"The files are larger than the {human_size(most_bytes)} that may be sent; start samed web with a larger "
        "--max-upload, or with the scan on its command line."
    )
