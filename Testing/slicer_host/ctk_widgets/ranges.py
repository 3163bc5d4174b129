"""Two numbers, a minimum and a maximum, between two bounds."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty


@standIn()
class ctkRangeWidget(QtWidgets.QWidget):
    valuesChanged = QtCore.Signal(float, float)
    minimumValueChanged = QtCore.Signal(float)
    maximumValueChanged = QtCore.Signal(float)
    rangeChanged = QtCore.Signal(float, float)

    _bounds: tuple[float, float]
    _values: tuple[float, float]

    decimals = storedProperty("decimals", int, 2)
    singleStep = storedProperty("singleStep", float, 1.0)
    prefix = storedProperty("prefix", str, "")
    suffix = storedProperty("suffix", str, "")
    tracking = storedProperty("tracking", bool, True)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._bounds = self._values = (0.0, 99.0)

    def setRange(self, minimum: float, maximum: float) -> None:
        bounds = (float(minimum), max(float(minimum), float(maximum)))
        if bounds != self._bounds:
            self._bounds = bounds
            self.rangeChanged.emit(*bounds)
            self.setValues(*self._values)

    def setValues(self, minimum: float, maximum: float) -> None:
        low, high = self._bounds
        values = tuple(sorted(min(max(float(value), low), high) for value in (minimum, maximum)))
        if values == self._values:
            return
        before, self._values = self._values, values
        if before[0] != values[0]:
            self.minimumValueChanged.emit(values[0])
        if before[1] != values[1]:
            self.maximumValueChanged.emit(values[1])
        self.valuesChanged.emit(*values)

    minimum = QtCore.Property(float, lambda w: w._bounds[0], lambda w, v: w.setRange(v, max(v, w._bounds[1])))
    maximum = QtCore.Property(float, lambda w: w._bounds[1], lambda w, v: w.setRange(min(v, w._bounds[0]), v))
    minimumValue = QtCore.Property(float, lambda w: w._values[0], lambda w, v: w.setValues(v, w._values[1]))
    maximumValue = QtCore.Property(float, lambda w: w._values[1], lambda w, v: w.setValues(w._values[0], v))


@standIn()
class ctkDoubleRangeSlider(ctkRangeWidget):
    pass
