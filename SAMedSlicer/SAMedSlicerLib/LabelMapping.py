"""Which segment of a segmentation becomes which label of a training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE, LabelSet

LEFT_OUT = ""


class Matcher(Protocol):
    """Finds the label of a segment by its terminology or name, as SegmentationReader does."""

    def match(self, segments: Sequence[Any], labelSet: LabelSet) -> Mapping[str, int]: ...


def proposeLabels(segments: Sequence[Any], known: LabelSet | None, matcher: Matcher) -> dict[str, str]:
    """A label name for each segment id, or LEFT_OUT.

    Args:
        segments: with `id` and `name`.
        known: the labels of the training set, None for a new set.
        matcher: says which segments are which of the labels.
    """
    labelSet = known or SYNAPSE
    names = {label.value: label.name for label in labelSet}
    matched = {segment: names[value] for segment, value in matcher.match(segments, labelSet).items()}
    if known is None and not matched:  # organs of the user's own: they keep the names that they have
        return {segment.id: segment.name for segment in segments}
    return {segment.id: matched.get(segment.id, LEFT_OUT) for segment in segments}


def labelsFor(chosen: Mapping[str, str], known: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What the user's choice means.

    Args:
        chosen: segment id to label name, or LEFT_OUT.
        known: the names that the training set has.

    Returns:
        segment id to label name, spelled as the set spells it, without what is left out; and the names that are new,
        the organs that SAMed knows first and in its order.

    Raises:
        SAMedError: if nothing is left.
    """
    spelled = {_plain(name): name for name in (*(label.name for label in SYNAPSE), *known)}
    mapping: dict[str, str] = {}
    for segment, name in chosen.items():
        if name.strip():
            mapping[segment] = spelled.setdefault(_plain(name), name.strip())
    if not mapping:
        raise SAMedError(_("All segments are left out; choose a label for at least one of them."))
    order = [label.name for label in SYNAPSE]
    new = sorted(
        {name: None for name in mapping.values() if name not in known},
        key=lambda name: order.index(name) if name in order else len(order),
    )
    return mapping, new


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " _-")
