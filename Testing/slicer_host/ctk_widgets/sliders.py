"""Sliders and spin boxes of floating-point numbers."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from ..pythonqt.stand_in import standIn, storedProperty

_STEPS = 1000


@standIn()
class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    decimalsChanged = QtCore.Signal(int)


class _BoundedNumber(QtWidgets.QWidget):
    """A number between two bounds; setting a bound moves the value inside, as in Qt."""

    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    rangeChanged = QtCore.Signal(float, float)

    _value: float
    _minimum: float
    _maximum: float

    singleStep = storedProperty("singleStep", float, 1.0)
    pageStep = storedProperty("pageStep", float, 10.0)
    tracking = storedProperty("tracking", bool, True)
    orientation = storedProperty("orientation", int, 1)
    tickInterval = storedProperty("tickInterval", float, 0.0)

    def __init__(self, *arguments: object) -> None:
        super().__init__(next((a for a in arguments if isinstance(a, QtWidgets.QWidget)), None))
        self._value, self._minimum, self._maximum = 0.0, 0.0, 99.0

    def _readValue(self) -> float:
        return self._value

    def setValue(self, value: float) -> None:
        value = min(max(float(value), self._minimum), self._maximum)
        if value != self._value:
            self._value = value
            self._showValue()
            self.valueChanged.emit(value)

    def _readMinimum(self) -> float:
        return self._minimum

    def _writeMinimum(self, value: float) -> None:
        self._setBounds(float(value), max(float(value), self._maximum))

    def _readMaximum(self) -> float:
        return self._maximum

    def _writeMaximum(self, value: float) -> None:
        self._setBounds(min(float(value), self._minimum), float(value))

    def _setBounds(self, minimum: float, maximum: float) -> None:
        if (minimum, maximum) == (self._minimum, self._maximum):
            return
        self._minimum, self._maximum = minimum, maximum
        self.rangeChanged.emit(minimum, maximum)
        self.setValue(self._value)
        self._showValue()

    def _showValue(self) -> None:
        """For derived classes that show it."""

    value = QtCore.Property(float, _readValue, setValue)
    minimum = QtCore.Property(float, _readMinimum, _writeMinimum)
    maximum = QtCore.Property(float, _readMaximum, _writeMaximum)


@standIn()
class ctkDoubleSlider(_BoundedNumber):
    """The bare slider."""


@standIn()
class ctkSliderWidget(_BoundedNumber):
    """The slider with a spin box beside it."""

    decimalsChanged = QtCore.Signal(int)

    _slider: QtWidgets.QSlider
    _spinBox: QtWidgets.QDoubleSpinBox
    _showing: bool

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._showing = False
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, _STEPS)
        self._spinBox = QtWidgets.QDoubleSpinBox(self)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        row.addWidget(self._spinBox)
        self._slider.valueChanged.connect(self._onSlider)
        self._spinBox.valueChanged.connect(self._onSpinBox)
        self._showValue()

    def _onSlider(self, step: int) -> None:
        if not self._showing:
            self.setValue(self.minimum + (self.maximum - self.minimum) * step / _STEPS)

    def _onSpinBox(self, value: float) -> None:
        if not self._showing:
            self.setValue(value)

    def _showValue(self) -> None:
        self._showing = True
        span = self.maximum - self.minimum
        self._spinBox.setRange(self.minimum, self.maximum)
        self._spinBox.setDecimals(self.decimals)
        self._spinBox.setPrefix(self.prefix)
        self._spinBox.setSuffix(self.suffix)
        self._spinBox.setSingleStep(self.singleStep)
        self._spinBox.setValue(self.value)
        if 0 < span < float("inf"):
            self._slider.setValue(round(_STEPS * (self.value - self.minimum) / span))
        self._showing = False

    def reset(self) -> None:
        self.setValue(0.0)

    decimals = storedProperty("decimals", int, 2, changed=_showValue)
    prefix = storedProperty("prefix", str, "", changed=_showValue)
    suffix = storedProperty("suffix", str, "", changed=_showValue)
    spinBoxVisible = storedProperty(
        "spinBoxVisible", bool, True, changed=lambda w: w._spinBox.setVisible(w.spinBoxVisible)
    )
