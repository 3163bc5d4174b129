"""The table in which the user says which segment is which label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import qt
from slicer.i18n import tr as _

from SAMedSlicerLib.TableHeight import fitHeight


class MappingTable:
    """A row for each segment, with a list of labels to choose from or to type into."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._rows: list[tuple[str, str, Any]] = []  # segment id, segment name, combo box

    @property
    def segments(self) -> list[tuple[str, str]]:
        """Id and name of what is shown."""
        return [(identifier, name) for identifier, name, _combo in self._rows]

    def show(self, segments: Sequence[Any], labels: Sequence[str], proposed: Mapping[str, str]) -> None:
        """Fill the table.

        Args:
            segments: with `id`, `name` and `color`.
            labels: to choose from.
            proposed: segment id to label name, empty to leave it out.
        """
        self._rows = []
        self._table.setRowCount(len(segments))
        for row, segment in enumerate(segments):
            item = qt.QTableWidgetItem(segment.name)
            pixmap = qt.QPixmap(12, 12)
            pixmap.fill(qt.QColor(*segment.color))
            item.setIcon(qt.QIcon(pixmap))
            self._table.setItem(row, 0, item)
            combo = self._combo(labels, proposed.get(segment.id, ""))
            self._table.setCellWidget(row, 1, combo)
            self._rows.append((segment.id, segment.name, combo))
        self._table.resizeColumnToContents(0)
        fitHeight(self._table)

    def chosen(self) -> dict[str, str]:
        """Segment id to label name, empty where it is left out."""
        leftOut = self._leftOut()
        answers = ((identifier, str(combo.currentText).strip()) for identifier, _name, combo in self._rows)
        return {identifier: "" if answer == leftOut else answer for identifier, answer in answers}

    def choose(self, segmentId: str, label: str) -> None:
        """As if the user had typed it."""
        combo = next(combo for identifier, _name, combo in self._rows if identifier == segmentId)
        combo.setEditText(label or self._leftOut())

    def _combo(self, labels: Sequence[str], proposed: str) -> Any:
        combo = qt.QComboBox()
        combo.editable = True
        combo.setInsertPolicy(qt.QComboBox.NoInsert)
        combo.addItem(self._leftOut())
        for label in labels:
            combo.addItem(label)
        combo.setEditText(proposed or self._leftOut())
        return combo

    @staticmethod
    def _leftOut() -> str:
        return _("(leave out)")
