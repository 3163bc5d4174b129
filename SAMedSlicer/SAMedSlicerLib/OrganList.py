"""The organs to choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from SAMedLib.organs import Label

_ROW, _MOST_ROWS = 22, 6
_DECORATION = 46  # pixels for box, colour and margins


class OrganList:
    """A checkable list of a model's organs, with their colours."""

    def __init__(self, listWidget: Any, allButton: Any, noneButton: Any, onChanged: Callable[[], None]) -> None:
        self._list = listWidget
        self._onChanged = onChanged
        self._filling = False
        listWidget.connect("itemChanged(QListWidgetItem*)", self._onItem)
        allButton.connect("clicked(bool)", lambda checked=False: self._checkAll(True))
        noneButton.connect("clicked(bool)", lambda checked=False: self._checkAll(False))

    def show(self, organs: Sequence[Label], chosen: Sequence[str]) -> None:
        """List these organs; `chosen` are checked, all of them if none is called so."""
        wanted = {name for name in chosen if name in {organ.name for organ in organs}}
        self._filling = True
        self._list.clear()
        metrics = self._list.fontMetrics()
        # as wide as the longest, so that the columns line up
        width = _DECORATION + max((metrics.boundingRect(organ.name).width() for organ in organs), default=0)
        for organ in organs:
            item = qt.QListWidgetItem(_swatch(organ.color), organ.name)
            item.setCheckState(qt.Qt.Checked if not wanted or organ.name in wanted else qt.Qt.Unchecked)
            item.setSizeHint(qt.QSize(width, _ROW))
            self._list.addItem(item)
        rows = min(_MOST_ROWS, max(1, -(-len(organs) // 2)))
        self._list.setFixedHeight(rows * _ROW + 8)
        self._filling = False

    def names(self) -> list[str]:
        """All that can be chosen."""
        return [item.text() for item in self._items()]

    def chosen(self) -> list[str]:
        return [item.text() for item in self._items() if item.checkState() == qt.Qt.Checked]

    def missing(self) -> str:
        return "" if self.chosen() or not self.names() else _("Check at least one organ.")

    def _items(self) -> list[Any]:
        return [self._list.item(row) for row in range(self._list.count)]

    def _checkAll(self, checked: bool) -> None:
        self._filling = True
        for item in self._items():
            item.setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
        self._filling = False
        self._onChanged()

    def _onItem(self, item: Any) -> None:
        if not self._filling:
            self._onChanged()


def _swatch(color: tuple[int, int, int]) -> Any:
    pixmap = qt.QPixmap(12, 12)
    pixmap.fill(qt.QColor(*color))
    return qt.QIcon(pixmap)
