"""Which segment of a prediction is compared with which segment of a reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE, LabelSet
from SAMedSlicerLib.SegmentNames import organKey

if TYPE_CHECKING:
    from SAMedSlicerLib.SegmentInfo import SegmentInfo

NONE = ""


class Matcher(Protocol):
    """Finds the label of segments by terminology or name, as SegmentationReader does."""

    def match(self, segments: Sequence[SegmentInfo], labelSet: LabelSet) -> Mapping[str, int]: ...


@dataclass(frozen=True)
class OrganPair:
    """One organ.

    Attributes:
        prediction, reference: segment ids, NONE where a side has no such segment.
        compared: whether it is scored.
    """

    organ: str
    prediction: str
    reference: str
    compared: bool = True


def proposePairs(
    predicted: Sequence[SegmentInfo], referenced: Sequence[SegmentInfo], matcher: Matcher
) -> list[OrganPair]:
    """The eight organs that either side has, then others with the same name on both sides.

    What remains of the reference follows, not compared: the user may say what it is compared with.
    """
    sides = [_byValue(matcher.match(segments, SYNAPSE)) for segments in (predicted, referenced)]
    pairs = [
        OrganPair(label.name, sides[0].get(label.value, NONE), sides[1].get(label.value, NONE))
        for label in SYNAPSE
        if label.value in sides[0] or label.value in sides[1]
    ]
    known = {segmentId for side in sides for segmentId in side.values()}
    free = {organKey(one.name): one.id for one in predicted if one.id not in sides[0].values()}
    taken = {pair.organ for pair in pairs}
    for segment in referenced:
        if segment.id in sides[1].values():
            continue
        other = free.pop(organKey(segment.name), NONE)
        name = _freeName(segment.name, taken)
        taken.add(name)
        pairs.append(OrganPair(name, other, segment.id, compared=other != NONE and other not in known))
    return pairs


def labelsOf(pairs: Sequence[OrganPair]) -> tuple[LabelSet, dict[str, int], dict[str, int]]:
    """What is scored: the organs, and which segment of the prediction and of the reference has which label.

    Raises:
        SAMedError: if there is nothing to compare, or a segment is chosen twice.
    """
    compared = [pair for pair in pairs if pair.compared and (pair.prediction or pair.reference)]
    if not any(pair.reference for pair in compared) or not any(pair.prediction for pair in compared):
        raise SAMedError(
            _("The two segmentations have no organ in common; choose under 'Organs' which segments belong together.")
        )
    for side in ("prediction", "reference"):
        twice = [key for key, count in Counter(getattr(pair, side) for pair in compared).items() if key and count > 1]
        if twice:
            organs = [pair.organ for pair in compared if getattr(pair, side) == twice[0]]
            raise SAMedError(
                _(
                    "The same segment is chosen for {organs}; choose another one under 'Organs', or leave one out."
                ).format(organs=_(" and ").join(organs))
            )
    labelSet = LabelSet.from_names("organs", [pair.organ for pair in compared])
    values = range(1, len(compared) + 1)
    predicted, referenced = (
        {getattr(pair, side): value for pair, value in zip(compared, values) if getattr(pair, side)}  # noqa: B905
        for side in ("prediction", "reference")
    )
    return labelSet, predicted, referenced


def describePairs(pairs: Sequence[OrganPair]) -> str:
    """What is compared, in words."""
    compared = [pair for pair in pairs if pair.compared]
    both = [pair.organ for pair in compared if pair.prediction and pair.reference]
    sentences = [
        _("Compared: {organs}.").format(organs=", ".join(both)) if both else _("No organ is in both segmentations."),
        _listed(_("Only in the prediction: {organs}."), [pair.organ for pair in compared if not pair.reference]),
        _listed(_("Only in the reference: {organs}."), [pair.organ for pair in compared if not pair.prediction]),
        _listed(_("Left out: {organs}."), [pair.organ for pair in pairs if not pair.compared]),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _listed(sentence: str, organs: Sequence[str]) -> str:
    return sentence.format(organs=", ".join(organs)) if organs else ""


def _byValue(matched: Mapping[str, int]) -> dict[int, str]:
    return {value: segmentId for segmentId, value in matched.items()}


def _freeName(name: str, taken: set[str]) -> str:
    """Labels of one set have different names, whatever their case and spaces."""
    plain = {"".join(c for c in one.casefold() if c not in " _-") for one in taken}
    candidate, number = name, 2
    while "".join(c for c in candidate.casefold() if c not in " _-") in plain:
        candidate, number = f"{name} ({number})", number + 1
    return candidate
