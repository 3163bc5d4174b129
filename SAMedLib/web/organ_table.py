"""The organs of the result on the page: colour, mL, whether they are shown, and how well they fit a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from SAMedLib.evaluation import OrganScore
    from SAMedSlicerLib.OrganSize import OrganSize

_NOTHING = "–"


class OrganTable:
    """The state `organs`, a row an organ, and the visibility of the segments that it stands for."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self._segmentation: Any = None
        self.clear()

    def clear(self) -> None:
        self._segmentation = None
        self._set([], compared=False)

    def show(self, sizes: Sequence[OrganSize], segmentation_node: Any) -> None:
        self._segmentation = segmentation_node
        self._set([_row(size) for size in sizes], compared=False)

    def measure(self, sizes: Sequence[OrganSize]) -> None:
        """After an edit: new numbers, and what is hidden stays hidden."""
        shown = {row["name"]: row["shown"] for row in self._state.organs if row["found"]}
        rows = [_row(size) for size in sizes]
        for row in rows:
            row["shown"] = shown.get(row["name"], row["found"])
        self._set(rows, compared=False)

    def toggle(self, name: str) -> None:
        """Show or hide an organ in all views."""
        if self._segmentation is None:
            return
        rows = [dict(row) for row in self._state.organs]
        for row in rows:
            if row["name"] == name and row["found"]:
                row["shown"] = not row["shown"]
                self._set_visible(name, row["shown"])
        self._set(rows, self._state.compared)

    def place_of(self, name: str) -> tuple[float, float, float] | None:
        """The middle of an organ in RAS mm, None if it was not found."""
        if self._segmentation is None:
            return None
        segment_id = self._segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
        return tuple(self._segmentation.GetSegmentCenterRAS(segment_id)) if segment_id else None

    def score(self, scores: Mapping[str, OrganScore]) -> None:
        rows = [{**row, **_texts(scores.get(row["name"]))} for row in self._state.organs]
        self._set(rows, compared=True)

    def _set_visible(self, name: str, visible: bool) -> None:
        segment_id = self._segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
        if segment_id:
            self._segmentation.GetDisplayNode().SetSegmentVisibility(segment_id, visible)

    def _set(self, rows: list[dict[str, Any]], compared: bool) -> None:
        self._state.update({"organs": rows, "compared": compared})
        self._state.flush()


def _row(size: OrganSize) -> dict[str, Any]:
    found = size.voxels > 0
    return {
        "name": size.name,
        "color": "#{:02x}{:02x}{:02x}".format(*size.color),
        "ml": size.amount,
        "cut": size.cut,
        "found": found,
        "shown": found,
        **_texts(None),
    }


def _texts(score: OrganScore | None) -> dict[str, str]:
    if score is None:
        return {"dsc": _NOTHING, "hd95": _NOTHING}
    return {
        "dsc": _NOTHING if score.dsc is None else f"{score.dsc:.3f}",
        "hd95": _NOTHING if score.hd95 is None else f"{score.hd95:.1f}",
    }
