"""Durations in words."""

from __future__ import annotations


def in_words(seconds: float) -> str:
    """For example "less than a second", "about 40 s", "about 12 min", "about 3 h 05 min"."""
    if seconds < 0.95:
        return "less than a second"
    if seconds < 59.5:
        return f"about {round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"about {hours} h {minutes:02d} min" if hours else f"about {minutes} min"
