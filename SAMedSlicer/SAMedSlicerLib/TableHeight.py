"""How high a table in a panel is."""

from __future__ import annotations

from typing import Any

_MOST_ROWS = 8  # the organs of the published model
_HEADER = 30  # pixels, with the frame


def fitHeight(table: Any) -> None:
    """Make a table as high as its rows, up to a few; with none it is hidden."""
    rows = int(table.rowCount)
    height = _HEADER + sum(int(table.rowHeight(row)) for row in range(min(rows, _MOST_ROWS)))
    table.setMinimumHeight(height)
    table.setMaximumHeight(height)
    table.visible = rows > 0
