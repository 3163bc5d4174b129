"""Taking the views to where a prediction and a reference differ most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.CaseScores import CaseScores
from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.OrganScore import OrganScore

Nodes = tuple[Any, Any, Any]


class WorstSlice:
    """Shows the worst slice of an organ, the prediction filled and the reference outlined.

    Args:
        nodesOf: the volume, prediction and reference nodes of a case, None for what was deleted; may raise SAMedError.
    """

    def __init__(self, host: Host, nodesOf: Callable[[CaseScores], Nodes]) -> None:
        self._host = host
        self._nodesOf = nodesOf
        self._shown = ""

    def show(self, case: CaseScores, organ: OrganScore) -> str:
        """Go there; what to say about it."""
        if organ.position is None:
            return _("{organ} is in neither segmentation, so there is nothing to show.").format(organ=organ.organ)
        try:
            volume, prediction, reference = self._nodesOf(case)
        except (SAMedError, OSError, MemoryError) as error:
            return str(error) or _("There is not enough memory to show this case.")
        if volume is None:
            return _("The volume was deleted, so its slices cannot be shown.")
        if prediction is None or reference is None:
            return _("A segmentation was deleted, so there is nothing to compare any more.")
        _display(prediction, filled=True)
        _display(reference, filled=False)
        if self._shown != volume.GetID():  # the user's zoom stays while one scan is looked at
            self._host.showVolume(volume, prediction)
            self._shown = volume.GetID()
        self._host.jumpTo(_toWorld(volume, organ.position))
        return _("{organ}: slice {slice}, counted from the feet; the reference is outlined.").format(
            organ=organ.organ, slice=organ.slice
        )


def _display(node: Any, filled: bool) -> None:
    if not node.GetDisplayNode():
        node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisibility2DFill(filled)
    display.SetVisibility2DOutline(not filled)


def _toWorld(volume: Any, position: Any) -> tuple[float, float, float]:
    """From a position in the volume's own coordinates (LPS) to RAS, wherever a transform puts it now."""
    world = [0.0, 0.0, 0.0]
    volume.TransformPointToWorld((-position[0], -position[1], position[2]), world)
    return world[0], world[1], world[2]
