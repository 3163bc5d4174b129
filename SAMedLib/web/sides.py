"""Which side of the patient is where in a slice view: letters at its edges."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame_slicer.app.ui import create_vertical_slice_view_gutter_ui

_TOWARDS = (("L", "R"), ("P", "A"), ("I", "S"))  # along each axis of RAS, down and up
_STYLE = "position: absolute; {place}; color: #e0c36a; font: 600 14px sans-serif; pointer-events: none"
_LEFT, _TOP = "left: 8px; top: 50%", "top: 8px; left: 50%"


def build_slice_view(server: Any, view_id: str, view: Any) -> None:
    """What lies over a slice view: trame-slicer's buttons and slider, and the letters."""
    create_vertical_slice_view_gutter_ui(server, view_id, view)
    for side, place in zip(sides(view.get_view_node()), (_LEFT, _TOP), strict=True):
        html.Div(side, classes="side", style=_STYLE.format(place=place))


def sides(slice_node: Any) -> tuple[str, str]:
    """What is at the left edge and at the top of a slice: one of R, L, A, P, S, I each."""
    matrix = slice_node.GetSliceToRAS()
    right, up = ([matrix.GetElement(row, column) for row in range(3)] for column in range(2))
    return _letter([-step for step in right]), _letter(up)


def _letter(direction: list[float]) -> str:
    axis = max(range(3), key=lambda row: abs(direction[row]))
    return _TOWARDS[axis][direction[axis] > 0]
