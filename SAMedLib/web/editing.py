"""Correcting an organ by hand, with trame-slicer's brush."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from trame_slicer.segmentation import SegmentationEffectErase, SegmentationEffectPaint
from undo_stack import UndoStack

TOOLS = {"paint": SegmentationEffectPaint, "erase": SegmentationEffectErase}
_BRUSH = 3  # percent of a view
_STEPS_BACK = 20
_QUIET_S = 0.7  # after the last stroke, before the organs are measured again


class Editing:
    """The state `tool`, "" or one of TOOLS, `edited_organ`, the one that it works on, and `can_undo`; and what they do.

    Args:
        editor: trame-slicer's SegmentationEditor.
        on_edited: called a moment after the user has changed something.
    """

    def __init__(self, editor: Any, state: Any, on_edited: Callable[[], None]) -> None:
        self._editor = editor
        self._state = state
        self._on_edited = on_edited
        self._segmentation: Any = None
        self._soon: asyncio.TimerHandle | None = None
        self._undo = UndoStack(undo_limit=_STEPS_BACK)
        self.edited = False
        self._undo.index_changed.connect(self._show_undo)
        editor.set_undo_stack(self._undo)
        editor.segmentation_modified.connect(self._on_modified)
        state.brush = _BRUSH
        self._show_undo()
        self._show("", "")

    def begin(self, segmentation_node: Any, volume_node: Any) -> None:
        """Edit these segments from now on; they are in the slice views only."""
        self.end()
        self._editor.set_active_segmentation(segmentation_node, volume_node)
        self._segmentation = segmentation_node

    def show_surfaces(self, shown: bool) -> None:
        """Have the segments in the 3D view too, where they follow what is edited."""
        self._editor.show_3d(shown)

    def end(self) -> None:
        """Put the tool away; nothing of an earlier result comes back."""
        if self._soon is not None:
            self._soon.cancel()
        self._editor.show_3d(False)  # else the next segments get all their surfaces at once
        self._editor.clear()
        self._segmentation, self._soon, self.edited = None, None, False
        self._show("", "")

    def choose(self, tool: str, organ: str) -> None:
        """Take a tool for an organ; the same again puts it away, and so does a tool that is none."""
        if self._segmentation is None:
            return
        segment_id = self._segmentation.GetSegmentation().GetSegmentIdBySegmentName(organ)
        if tool not in TOOLS or not segment_id or (tool, organ) == (self._state.tool, self._state.edited_organ):
            self._editor.deactivate_effect()
            self._show("", "")
            return
        self._editor.set_active_segment_id(segment_id)
        self._editor.set_active_effect_type(TOOLS[tool]).set_brush_diameter(float(self._state.brush))
        self._show(tool, organ)

    def resize(self, percent: float) -> None:
        """Make the brush this large, as a part of the view that it is in."""
        self._state.brush = percent
        if self._state.tool:
            self._editor.active_effect.set_brush_diameter(float(percent))

    def undo(self) -> None:
        """Take the last stroke back."""
        if self._segmentation is not None and self._undo.can_undo():
            self._undo.undo()
            self._touch()

    def _show(self, tool: str, organ: str) -> None:
        self._state.update({"tool": tool, "edited_organ": organ})
        self._state.flush()

    def _show_undo(self, *_: Any) -> None:
        self._state.can_undo = self._undo.can_undo()
        self._state.flush()

    def _on_modified(self, *_: Any) -> None:
        if self._segmentation is not None and self._state.tool:  # else it was written, not edited
            self._touch()

    def _touch(self) -> None:
        self.edited = True
        if self._soon is not None:
            self._soon.cancel()
        self._soon = asyncio.get_running_loop().call_later(_QUIET_S, self._on_edited)
