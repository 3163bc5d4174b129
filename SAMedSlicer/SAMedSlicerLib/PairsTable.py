"""The table in which the user sees and changes which segments are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from SAMedSlicerLib.OrganPairs import NONE, OrganPair

if TYPE_CHECKING:
    from SAMedSlicerLib.SegmentInfo import SegmentInfo

_ROW, _HEADER, _MOST_ROWS = 26, 26, 10


class PairsTable:
    """A row for each organ: whether it is compared, and its segment on either side.

    Args:
        onChanged: called after the user changed something.
    """

    def __init__(self, table: Any, onChanged: Callable[[], None]) -> None:
        self._table = table
        self._onChanged = onChanged
        self._pairs: list[OrganPair] = []
        self._ids: tuple[list[str], list[str]] = ([], [])
        self._filling = False
        table.verticalHeader().setVisible(False)
        table.connect("itemChanged(QTableWidgetItem*)", self._onItem)

    @property
    def pairs(self) -> list[OrganPair]:
        return list(self._pairs)

    def show(
        self, pairs: Sequence[OrganPair], predicted: Sequence[SegmentInfo], referenced: Sequence[SegmentInfo]
    ) -> None:
        self._filling = True
        self._pairs = list(pairs)
        self._ids = ([NONE, *(one.id for one in predicted)], [NONE, *(one.id for one in referenced)])
        names = ([one.name for one in predicted], [one.name for one in referenced])
        table = self._table
        table.clear()
        table.setRowCount(len(pairs))
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Organ"), _("Prediction"), _("Reference")])
        for row, pair in enumerate(pairs):
            item = qt.QTableWidgetItem(pair.organ)
            item.setCheckState(qt.Qt.Checked if pair.compared else qt.Qt.Unchecked)
            table.setItem(row, 0, item)
            for side, chosen in enumerate((pair.prediction, pair.reference)):
                table.setCellWidget(row, side + 1, self._combo(row, side, names[side], chosen))
            table.setRowHeight(row, _ROW)
        header = table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.Stretch)
        table.setFixedHeight(_HEADER + _ROW * min(max(len(pairs), 1), _MOST_ROWS) + 2)
        self._filling = False

    def _combo(self, row: int, side: int, names: Sequence[str], chosen: str) -> Any:
        combo = qt.QComboBox()
        combo.addItem(_("(none)"))
        combo.addItems(list(names))
        combo.currentIndex = self._ids[side].index(chosen) if chosen in self._ids[side] else 0
        combo.connect("currentIndexChanged(int)", lambda index: self._onChosen(row, side, index))
        return combo

    def _onChosen(self, row: int, side: int, index: int) -> None:
        if self._filling:
            return
        key = "reference" if side else "prediction"
        self._pairs[row] = replace(self._pairs[row], **{key: self._ids[side][index]}, compared=True)
        self._filling = True
        self._table.item(row, 0).setCheckState(qt.Qt.Checked)
        self._filling = False
        self._onChanged()

    def _onItem(self, item: Any) -> None:
        if self._filling:
            return
        row = self._table.row(item)
        self._pairs[row] = replace(self._pairs[row], compared=item.checkState() == qt.Qt.Checked)
        self._onChanged()
