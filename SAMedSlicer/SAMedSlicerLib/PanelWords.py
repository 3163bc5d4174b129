"""Sentences of the library that name options and commands of its command line, as the panel says them."""

from __future__ import annotations

import re

from slicer.i18n import tr as _


def inPanelWords(text: str) -> str:
    """What to do is said in terms of the panel; the rest stays."""
    for pattern, instead in _replacements():
        text = re.sub(pattern, instead, text)
    return text


def _replacements() -> list[tuple[str, str]]:
    """Patterns, and what takes their place; \\1 is what the parentheses found."""
    return [*_ofEvaluation(), *_ofDevicesAndScans(), *_ofModelFiles()]


def _ofEvaluation() -> list[tuple[str, str]]:
    return [
        (
            r"add it, or score only the cases that both have with --common\.",
            _("add it, or check 'Only cases that are in both folders'."),
        ),
        (
            r"say which is which with --map(?:-predictions)? SOURCE=ORGAN,\.\.\. or choose other organs with "
            r"--labels\.",
            _("choose other organs above, or rename the segments."),
        ),
        (
            r"say which value is which organ with --map(?:-predictions)? VALUE=ORGAN,\.\.\.",
            _("put a dataset.json that names the values beside the files."),
        ),
        (r" so leave one of them out with --map(?:-predictions)?\.", _(" so correct the segments.")),
        (r"map its labels to the label set first \(--map\)\.", _("choose other organs above.")),
    ]


def _ofDevicesAndScans() -> list[tuple[str, str]]:
    return [
        (r"use --device cpu or auto", _("choose the CPU or Automatic as the device")),
        (r"choose --device auto", _("choose Automatic as the device")),
        (
            r"segment one frame at a time, for example --frame \d+\.",
            _("load it, and segment it with 'A sequence of volumes' as the input."),
        ),
        (
            r"choose one with --series: (.*)\.",
            _(r"put each series into a folder of its own, or load one with the DICOM module (\1)."),
        ),
    ]


def _ofModelFiles() -> list[tuple[str, str]]:
    return [
        (r"get it with 'samed weights download [^']*'", _("choose its model in the Segment tab and press Download")),
        (r"run 'samed weights import [^']*' or put it at", _("put it at")),
        (
            r"; remove it with 'samed weights remove [^']*' and get it again",
            _("; delete this file and download it again"),
        ),
        (r"give it with --base, or put it into", _("put it into")),
        (r"; give it with --base\.", _("; use another model.")),
        (r" \(see 'samed weights list'\)", ""),
        (
            r"install it with: pip install \"samed\[monai\]\"",
            _("use another model, or enter slicer.util.pip_install('monai') in the Python Console"),
        ),
    ]
