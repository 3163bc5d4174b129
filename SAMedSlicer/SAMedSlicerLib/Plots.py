"""The curves of a training run as MRML plots."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from SAMedLib.organs import LabelSet
from SAMedLib.training.run_folder import RunFolder
from SAMedSlicerLib.Curves import Curves
from SAMedSlicerLib.EventFile import EventFile
from SAMedSlicerLib.PlotNodes import PlotNodes, Series

_POINTS = 1000  # per curve; more cannot be told apart on a screen
_DARK = (0.12, 0.16, 0.20)
_BLUE = (0.18, 0.49, 0.85)
_RED = (0.82, 0.29, 0.36)


class TrainingPlots:
    """Loss, learning rate and validation Dice per organ: one set of nodes per run folder and scene.

    The nodes are saved with the scene, and found again by the run folder when it is opened. They come with the first
    numbers; nodes that the user deletes come again with the next ones.

    Args:
        labelSet: names and colours of the organs.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, runFolder: Path, labelSet: LabelSet) -> None:
        folder = os.path.normcase(os.path.abspath(runFolder))
        self._nodes = PlotNodes(scene, folder, _("Training {name}").format(name=Path(runFolder).name))
        self._labelSet = labelSet
        self._events = EventFile(RunFolder(runFolder).events_file)
        self._steps = Curves(("loss", "loss_ce", "loss_dice", "lr"))
        self._validations = Curves(("mean_dice", *labelSet.names))

    @property
    def lossChart(self) -> slicer.vtkMRMLPlotChartNode | None:
        return self._nodes.find("vtkMRMLPlotChartNode", "loss")

    @property
    def rateChart(self) -> slicer.vtkMRMLPlotChartNode | None:
        return self._nodes.find("vtkMRMLPlotChartNode", "rate")

    @property
    def diceChart(self) -> slicer.vtkMRMLPlotChartNode | None:
        """None until the run has validated."""
        return self._nodes.find("vtkMRMLPlotChartNode", "dice")

    def readOn(self) -> None:
        """Draw what the run folder has got since the last call; the first reads all of it."""
        self.update(self._events.read())

    def update(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Add what is new in a run, or all of it again; where a run was resumed, its later steps replace earlier ones.

        Args:
            events: of `RunFolder.events()`, or as a job sends them.
        """
        for event in events:
            if event.get("event") == "resume" and isinstance(event.get("step"), int):
                self._steps.forgetAfter(event["step"])
                self._validations.forgetAfter(event["step"])
            if event.get("event") != "metric" or not isinstance(event.get("step"), int):
                continue
            if "loss" in event:
                self._steps.add(event["step"], event)
            if isinstance(event.get("dice"), Mapping):
                self._validations.add(event["step"], {**event["dice"], "mean_dice": event.get("mean_dice")})
        if len(self._steps):
            self._drawSteps()
        if len(self._validations):
            self._drawValidations()

    def _drawSteps(self) -> None:
        table = self._nodes.table("steps", _("steps"), self._steps.thinned(_POINTS))
        losses = (
            Series("loss", _("Loss"), _DARK, width=3.0),
            Series("loss_ce", _("Cross entropy"), _BLUE),
            Series("loss_dice", _("Dice loss"), _RED),
        )
        self._nodes.chart("loss", _("Training loss"), _("loss"), table, losses)
        rate = Series("lr", _("Learning rate"), _DARK, width=3.0)
        self._nodes.chart("rate", _("Learning rate"), _("learning rate"), table, (rate,))

    def _drawValidations(self) -> None:
        known = self._validations.known()
        table = self._nodes.table("validations", _("validations"), self._validations.thinned(_POINTS))
        series = [Series("mean_dice", _("Mean"), _DARK, width=3.0, marked=True)]
        colors = set()
        for label in self._labelSet:
            if label.name in known:
                color = tuple(channel / 255 for channel in label.color)
                # both kidneys have one colour
                series.append(Series(label.name, label.name, color, dashed=color in colors, marked=True))
                colors.add(color)
        self._nodes.chart("dice", _("Validation Dice"), _("Dice"), table, series, yRange=(0.0, 1.0))
