"""Sentences of the library that name options of its command line, or folders of the server, as the page says them."""

from __future__ import annotations

import re
from pathlib import Path

_INSTEAD = (
    (r"segment one frame at a time, for example --frame \d+\.", "send one frame of it as a file of its own."),
    (r"choose one with --series: (.*)\.", r"send the files of one series only (\1)."),
    (r"give a folder of DICOM slices, or a folder of cases\.", "send the slices of one CT, or the CT as one file."),
)


def in_page_words(text: str, path: Path) -> str:
    """A sentence about an uploaded file, or about one beside it, for the person who sent it."""
    text = text.replace(f"{path.parent}/", "").replace(str(path.parent), "the upload")
    for pattern, instead in _INSTEAD:
        text = re.sub(pattern, instead, text)
    return text
