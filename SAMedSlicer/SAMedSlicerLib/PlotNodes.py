"""Tables, series and charts that belong together, found again by a key that is saved with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from SAMedSlicerLib.Curves import STEP
from SAMedSlicerLib.Hierarchy import putIntoFolder

if TYPE_CHECKING:
    import numpy as np

_KEY = "SAMed.Run"
_PART = "SAMed.Part"


@dataclass(frozen=True)
class Series:
    """A curve of a chart: a column of its table, the name in the legend, and how it is drawn."""

    column: str
    name: str
    color: tuple[float, ...]
    width: float = 2.0
    dashed: bool = False
    marked: bool = False


class PlotNodes:
    """Makes each node once, and looks it up in the scene every time: users delete nodes, and scenes are closed.

    Args:
        key: what the nodes belong to; those with another key are left alone.
        title: of their folder in the Data module, and the first part of their names.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, key: str, title: str) -> None:
        self._scene = scene
        self._key = key
        self._title = title

    def find(self, className: str, part: str) -> slicer.vtkMRMLNode | None:
        for index in range(self._scene.GetNumberOfNodesByClass(className)):
            node = self._scene.GetNthNodeByClass(index, className)
            if node.GetAttribute(_KEY) == self._key and node.GetAttribute(_PART) == part:
                return node
        return None

    def table(self, part: str, name: str, columns: Mapping[str, np.ndarray]) -> slicer.vtkMRMLTableNode:
        """The table with these numbers."""
        from vtk.util.numpy_support import numpy_to_vtk

        filled = vtk.vtkTable()
        for column, values in columns.items():
            array = numpy_to_vtk(values, deep=True)
            array.SetName(column)
            filled.AddColumn(array)
        table = self.find("vtkMRMLTableNode", part)
        new = table is None
        if new:
            table = self._make("vtkMRMLTableNode", part, f"{self._title}: {name}")
            table.SetLocked(True)
        modified = table.StartModify()
        table.GetTable().ShallowCopy(filled)
        if new:
            for column in columns:
                table.SetColumnType(column, vtk.VTK_DOUBLE)  # else it is text after the scene is opened again
        table.EndModify(modified)
        return table

    def chart(
        self,
        part: str,
        title: str,
        yTitle: str,
        table: slicer.vtkMRMLTableNode,
        series: Sequence[Series],
        yRange: tuple[float, float] | None = None,
    ) -> slicer.vtkMRMLPlotChartNode:
        """The chart with these series; how the user has changed those that are there is left alone."""
        chart = self.find("vtkMRMLPlotChartNode", part)
        if chart is None:
            chart = self._make("vtkMRMLPlotChartNode", part, f"{self._title}: {title}")
            chart.SetTitle(f"{self._title}: {title}")
            chart.SetXAxisTitle(_("step"))
            chart.SetYAxisTitle(yTitle)
            if yRange:
                chart.SetYAxisRangeAuto(False)
                chart.SetYAxisRange(*yRange)
        for one in series:
            node = self.find("vtkMRMLPlotSeriesNode", f"{part}.{one.column}")
            if node is None:
                node = self._makeSeries(f"{part}.{one.column}", one)
            if node.GetTableNodeID() != table.GetID():  # a new series, or a new table for one that the user deleted
                node.SetAndObserveTableNodeID(table.GetID())
            if not chart.HasPlotSeriesNodeID(node.GetID()):
                chart.AddAndObservePlotSeriesNodeID(node.GetID())
        return chart

    def _makeSeries(self, part: str, series: Series) -> slicer.vtkMRMLPlotSeriesNode:
        node = self._make("vtkMRMLPlotSeriesNode", part, series.name)
        node.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)  # the one with numbers on its x axis
        node.SetXColumnName(STEP)
        node.SetYColumnName(series.column)
        node.SetColor(*series.color)
        node.SetLineWidth(series.width)
        node.SetLineStyle(node.LineStyleDash if series.dashed else node.LineStyleSolid)
        node.SetMarkerStyle(node.MarkerStyleCircle if series.marked else node.MarkerStyleNone)
        return node

    def _make(self, className: str, part: str, name: str) -> slicer.vtkMRMLNode:
        node = self._scene.AddNewNodeByClass(className, name)
        node.SetAttribute(_KEY, self._key)
        node.SetAttribute(_PART, part)
        putIntoFolder(node, self._title, self._key)
        return node
