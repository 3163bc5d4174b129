"""Sentences of the library that name options of its command line, as the Evaluate tab says them."""

from __future__ import annotations

from slicer.i18n import tr as _


def inPanelWords(text: str) -> str:
    """What to do is said in terms of the panel; the rest stays."""
    for option, widget in (
        (
            "add it, or score only the cases that both have with --common.",
            _("add it, or check 'Only cases that are in both folders'."),
        ),
        (
            "say which is which with --map SOURCE=ORGAN,... or choose other organs with --labels.",
            _("choose other organs above, or rename the segments."),
        ),
        (
            "say which value is which organ with --map VALUE=ORGAN,...",
            _("put a dataset.json that names the values beside the files."),
        ),
        (" so leave one of them out with --map.", _(" so correct the segments.")),
        ("map its labels to the label set first (--map).", _("choose other organs above.")),
    ):
        text = text.replace(option, widget)
    return text
