"""The curves of a training on the screen."""

from __future__ import annotations

import time
from typing import Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Plots import TrainingPlots
from SAMedSlicerLib.TrainingRun import TrainingRun

_SECONDS_BETWEEN_UPDATES = 2.0


class TrainingCurves:
    """Draws the curves of a training into the scene, keeps them up to date, and shows them when they are asked for.

    Args:
        selector: a combo box of which curves to show.
    """

    def __init__(self, selector: Any, host: Host) -> None:
        self._selector = selector
        self._host = host
        self._run: TrainingRun | None = None
        self._plots: TrainingPlots | None = None
        self._updated = 0.0
        for title in (_("Validation Dice"), _("Loss"), _("Learning rate")):
            selector.addItem(title)

    def begin(self, run: TrainingRun) -> None:
        """From its first numbers on, the curves of this training are in the scene and saved with it."""
        self._run, self._plots = run, None

    def show(self, run: TrainingRun) -> str:
        """Show the chosen curves.

        Returns:
            a sentence if there is something else to see than what was chosen.
        """
        self.begin(run)
        self._draw()
        if self._plots is None:
            return _("There is nothing to draw yet; the curves begin with the first steps.")
        charts = (self._plots.diceChart, self._plots.lossChart, self._plots.rateChart)
        chart = charts[int(self._selector.currentIndex)]
        if chart is not None:
            self._host.showChart(chart)
            return ""
        if self._plots.lossChart is not None:
            self._host.showChart(self._plots.lossChart)
        return _("No validation Dice yet, so this is the loss; Dice needs cases that are held out, and a whole epoch.")

    def follow(self, run: TrainingRun) -> None:
        """There is something new; drawn now and then, for steps may take less time than drawing."""
        if run == self._run and time.monotonic() - self._updated > _SECONDS_BETWEEN_UPDATES:
            self._draw()

    def finish(self, run: TrainingRun) -> None:
        """Draw what is still missing."""
        if run == self._run:
            self._draw()

    def forget(self) -> None:
        """The scene goes, and the nodes with it."""
        self._run = self._plots = None

    def _draw(self) -> None:
        if self._run is None:
            return
        labels = None if self._plots else self._run.labelSet()
        if labels is not None and self._run.events():
            self._plots = TrainingPlots(self._host.scene, self._run.folder, labels)
        if self._plots is not None:
            self._plots.readOn()
            self._updated = time.monotonic()
