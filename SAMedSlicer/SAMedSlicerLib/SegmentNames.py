"""Whether two names mean the same organ."""

from __future__ import annotations

import re

_SIDES = {"left": "left", "l": "left", "lt": "left", "right": "right", "r": "right", "rt": "right"}


def organKey(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and organ, so that equal keys mean the same: "Kidney_L" and "left kidneys"."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # LeftKidney
    parts = re.findall(r"[^\W_]+", words.casefold())
    sides = {_SIDES[part] for part in parts if part in _SIDES}
    organ = "".join(_singular(part) for part in parts if part not in _SIDES)
    return (" and ".join(sorted(sides)), organ)


def _singular(word: str) -> str:
    """Without the plural's s; what ends in "us", "is" or "ss" is singular: "esophagus", "pelvis"."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("us", "is", "ss", "as")) else word
