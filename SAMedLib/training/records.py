"""What a run writes while it goes on."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING, Any

from SAMedLib.model import Network
from SAMedLib.organs import LabelSet
from SAMedLib.training.figures import draw_curves
from SAMedLib.training.run_folder import RunFolder
from SAMedLib.training.state import save_state

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_SECONDS_BETWEEN_FIGURES = 60


class Records:
    """Writes events, curves, adapters and the state of one run into its folder; on rank 0 only.

    Args:
        provenance: what every adapter says about where it comes from, beside how far the run was.
        save_pth: also write adapters in the published layout.
        step: of a run that goes on; 0 for a new one.
    """

    def __init__(
        self, folder: RunFolder, label_set: LabelSet, provenance: dict[str, Any], save_pth: bool = False, step: int = 0
    ) -> None:
        self.folder = folder
        self._label_set = label_set
        self._provenance = provenance
        self._suffixes = (".safetensors", ".pth") if save_pth else (".safetensors",)
        self._board = _tensorboard(folder, purge_step=step + 1 if step else None)
        self._drawn = float("-inf")

    def metric(self, step: int, **values: Any) -> None:
        self.folder.append("metric", step=step, **values)
        if self._board is None:
            return
        for name, value in values.items():
            if isinstance(value, dict):
                for part, number in value.items():
                    if number is not None:
                        self._board.add_scalar(f"{name}/{part}", number, step)
            elif name != "epoch" and value is not None:
                self._board.add_scalar(name, value, step)

    def save_state(self, state: dict[str, Any]) -> None:
        save_state(self.folder.state_file, state)

    def save_adapter(self, which: str, model: Network, progress: dict[str, Any]) -> None:
        date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        model.metadata = model.metadata.replace(provenance={**self._provenance, **progress, "date": date})
        for suffix in self._suffixes:
            model.save_adapter(self.folder.adapter(which, suffix))

    def draw(self, final: bool = False) -> None:
        """Draw the curves, but not more often than once a minute unless `final`."""
        if self._board:
            self._board.flush()
        if final or time.monotonic() - self._drawn > _SECONDS_BETWEEN_FIGURES:
            draw_curves(self.folder.events(), self._label_set, self.folder.figures / "curves.png")
            self._drawn = time.monotonic()

    def close(self) -> None:
        if self._board:
            self._board.close()


def _tensorboard(folder: RunFolder, purge_step: int | None) -> SummaryWriter | None:
    """None where TensorBoard is not installed: 3D Slicer goes without, and draws the curves itself."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # also for one that is too old
        return None
    return SummaryWriter(str(folder.tensorboard), purge_step=purge_step)
