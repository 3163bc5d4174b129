"""Numbers per organ as a table node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from SAMedSlicerLib.Hierarchy import putUnder

_VTK_ARRAYS = {str: vtk.vtkStringArray, int: vtk.vtkIntArray, float: vtk.vtkDoubleArray}


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Attributes:
        name: the key of its values in the rows, and the column's name for scripts.
        title: what people read; the unit is appended.
        kind: str, int or float.
        decimals: to which numbers are rounded.
        description: one sentence, shown by the Tables module.
    """

    name: str
    title: str
    kind: type = float
    unit: str = ""
    decimals: int = 3
    description: str = ""

    @property
    def header(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title


class OrganTable:
    """Tables of one kind; each belongs to a node, is found again through it, and stands under it in the Data module.

    Args:
        kind: a short key, for example "volumes".
    """

    def __init__(self, kind: str, columns: Sequence[Column]) -> None:
        self._role = f"SAMed.table.{kind}"
        self._columns = tuple(columns)

    def find(self, ownerNode: slicer.vtkMRMLNode) -> slicer.vtkMRMLTableNode | None:
        """The table that was written for this node before."""
        return ownerNode.GetNodeReference(self._role)

    def write(
        self, ownerNode: slicer.vtkMRMLNode, rows: Sequence[Mapping[str, Any]], name: str
    ) -> slicer.vtkMRMLTableNode:
        """Fill the node's table, a new one called `name` if it has none.

        Args:
            rows: values by column name; None where a text or a float is not known (an int always is).
        """
        table = self.find(ownerNode)
        if table is None:
            table = ownerNode.GetScene().AddNewNodeByClass("vtkMRMLTableNode", name)
            ownerNode.SetNodeReferenceID(self._role, table.GetID())
            putUnder(table, ownerNode)
        modified = table.StartModify()
        try:
            self.fill(table, rows)
        finally:
            table.EndModify(modified)
        return table

    def fill(self, table: slicer.vtkMRMLTableNode, rows: Sequence[Mapping[str, Any]]) -> None:
        """Put rows into a table that belongs to no node."""
        table.SetLocked(True)  # measured, not to be edited by accident
        table.SetUseColumnTitleAsColumnHeader(True)
        table.RemoveAllColumns()
        for column in self._columns:
            array = _VTK_ARRAYS[column.kind]()
            array.SetName(column.name)
            for row in rows:
                array.InsertNextValue(_value(row.get(column.name), column))
            table.AddColumn(array)
            table.SetColumnType(column.name, array.GetDataType())
            table.SetColumnTitle(column.name, column.header)
            table.SetColumnUnitLabel(column.name, column.unit)
            table.SetColumnDescription(column.name, column.description)


def _value(value: Any, column: Column) -> Any:
    if column.kind is str:
        return "" if value is None else str(value)
    if column.kind is float:
        return float("nan") if value is None else round(float(value), column.decimals)
    return int(value)
