"""How well the organs of one case were found."""

from __future__ import annotations

from dataclasses import dataclass

from slicer.i18n import tr as _

from SAMedSlicerLib.OrganScore import ABSENT, MISSED, SPURIOUS, OrganScore, mean


@dataclass(frozen=True)
class CaseScores:
    """One case.

    Attributes:
        files: paths of "prediction", "reference" and "image", as far as they are files.
    """

    name: str
    organs: tuple[OrganScore, ...]
    files: dict[str, str]

    @property
    def dsc(self) -> float | None:
        return mean([one.dsc for one in self.organs])

    @property
    def hd95(self) -> float | None:
        return mean([one.hd95 for one in self.organs])

    @property
    def worst(self) -> OrganScore | None:
        """The organ to look at first; None if neither side has any."""
        there = [one for one in self.organs if one.presence != ABSENT]
        scores = {MISSED: -1.0, SPURIOUS: 0.0}
        return min(there, key=lambda one: scores.get(one.presence, one.dsc or 0.0), default=None)


def words(case: CaseScores, protocol: str) -> str:
    """What the numbers do not show: organs that one side or both lack."""
    published = protocol == "paper"
    sentences = (
        (
            MISSED,
            _("Missed by the prediction: {organs} (counts as Dice 0, distance 0).")
            if published
            else _("Missed by the prediction: {organs} (counts as Dice 0, without a distance)."),
        ),
        (
            SPURIOUS,
            _("Only in the prediction: {organs} (counts as Dice 1, as in the published script).")
            if published
            else _("Only in the prediction: {organs} (not scored)."),
        ),
        (
            ABSENT,
            _("In neither: {organs} (counts as Dice 0, as in the published script).")
            if published
            else _("In neither: {organs} (not scored)."),
        ),
    )
    listed = []
    for presence, sentence in sentences:
        organs = [one.organ for one in case.organs if one.presence == presence]
        if organs:
            listed.append(sentence.format(organs=", ".join(organs)))
    return " ".join(listed)
