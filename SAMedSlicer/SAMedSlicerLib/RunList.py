"""The list of trainings to choose from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.TrainingRun import TrainingRun

_SHOWN = 20


class RunList:
    """A combo box: a new training first, then earlier ones.

    Args:
        onSelected: called when the user has chosen; None is a new training.
    """

    def __init__(self, selector: Any, onSelected: Callable[[TrainingRun | None], None]) -> None:
        self._selector = selector
        self._onSelected = onSelected
        self._runs: list[TrainingRun] = []
        self._filling = False
        self.show([])
        selector.connect("currentIndexChanged(int)", self._onIndex)

    @property
    def selected(self) -> TrainingRun | None:
        index = int(self._selector.currentIndex) - 1
        return self._runs[index] if 0 <= index < len(self._runs) else None

    def show(self, runs: Sequence[TrainingRun], selected: TrainingRun | None = None) -> None:
        """Fill the list; without `selected`, what was selected stays."""
        wanted = selected or self.selected
        self._runs = list(runs[:_SHOWN])
        self._filling = True
        self._selector.clear()
        self._selector.addItem(_("New training"))
        for run in self._runs:
            self._selector.addItem(run.title())
        self._filling = False
        self.select(wanted)

    def select(self, run: TrainingRun | None) -> None:
        """Without telling onSelected."""
        self._filling = True
        self._selector.setCurrentIndex(self._runs.index(run) + 1 if run in self._runs else 0)
        self._filling = False

    def _onIndex(self, index: int) -> None:
        if not self._filling:
            self._onSelected(self.selected)
