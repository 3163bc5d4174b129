"""How much of each organ was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from SAMedLib.organs import Label


@dataclass(frozen=True)
class OrganSize:
    """One organ of one scan.

    Attributes:
        color: RGB, 0..255.
        cut: it reaches the edge of the scan, so there may be more of it outside.
    """

    name: str
    color: tuple[int, int, int]
    voxels: int
    ml: float
    cut: bool

    @property
    def amount(self) -> str:
        """Its mL as a table shows them."""
        if not self.voxels:
            return _("not found")
        return f"{'≥ ' if self.cut else ''}{self.ml:.1f}"


def organSizes(labels: Any, voxelMl: float, organs: Sequence[Label]) -> list[OrganSize]:
    """Measure the organs in a label array [K, J, I] whose voxels have `voxelMl` millilitres."""
    from SAMedLib.imaging.organ_volumes import organ_volumes

    found = organ_volumes(labels, voxelMl, organs)
    return [
        OrganSize(one.name, organ.color, one.voxels, one.ml, one.cut) for one, organ in zip(found, organs, strict=True)
    ]
