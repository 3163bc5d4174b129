"""Which widgets can show which parameters, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from .annotations import Choice, Maximum, Minimum, WithinRange, first
from .parameters import Parameter


class Connector:
    """A widget that shows one parameter; derived classes name the widgets, the types and the signal."""

    widgets: tuple[type, ...] = ()
    types: tuple[type, ...] = ()
    signal = ""

    def __init__(self, widget: Any, parameter: Parameter) -> None:
        self.widget = widget
        self.parameter = parameter
        self._slot: Callable[..., None] | None = None

    @classmethod
    def fits(cls, widget: Any, parameter: Parameter) -> bool:
        return type(widget) in cls.widgets and parameter.type in cls.types

    def connect(self, changed: Callable[[Connector], None]) -> None:
        self._slot = lambda *_: changed(self)
        self._bound().connect(self._slot)

    def disconnect(self) -> None:
        if self._slot is not None:
            self._bound().disconnect(self._slot)
            self._slot = None

    def _bound(self) -> Any:
        return getattr(self.widget, self.signal)

    def read(self) -> Any:
        raise NotImplementedError

    def write(self, value: Any) -> None:
        raise NotImplementedError


class CheckBox(Connector):
    widgets = (qt.QCheckBox, ctk.ctkCheckBox, qt.QPushButton, ctk.ctkCheckablePushButton)
    types = (bool,)
    signal = "toggled"

    def read(self) -> bool:
        return self.widget.checked

    def write(self, value: bool) -> None:
        self.widget.checked = value


class Number(Connector):
    signal = "valueChanged"

    def __init__(self, widget: Any, parameter: Parameter) -> None:
        super().__init__(widget, parameter)
        within = first(parameter.annotations, WithinRange)
        lowest, highest = first(parameter.annotations, Minimum), first(parameter.annotations, Maximum)
        minimum = within.minimum if within else lowest.minimum if lowest else self.lowest
        maximum = within.maximum if within else highest.maximum if highest else self.highest
        if isinstance(widget, (qt.QSlider, ctk.ctkSliderWidget)) and not (within or (lowest and highest)):
            raise RuntimeError(f"the slider of {parameter.name} needs a range; annotate it with WithinRange")
        widget.minimum, widget.maximum = minimum, maximum

    lowest: float = float("-inf")
    highest: float = float("inf")

    def read(self) -> Any:
        return self.parameter.type(self.widget.value)

    def write(self, value: Any) -> None:
        self.widget.value = value


class WholeNumber(Number):
    widgets = (qt.QSlider, qt.QSpinBox)
    types = (int,)
    lowest, highest = -(2**31), 2**31 - 1


class RealNumber(Number):
    widgets = (
        qt.QDoubleSpinBox,
        ctk.ctkDoubleSpinBox,
        ctk.ctkDoubleSlider,
        ctk.ctkSliderWidget,
        slicer.qMRMLSliderWidget,
        slicer.qMRMLSpinBox,
    )
    types = (int, float)


class ComboBox(Connector):
    """Clears the widget and fills it from the annotation Choice, as Slicer's does."""

    widgets = (qt.QComboBox, ctk.ctkComboBox)
    types = (str, int, float, bool)
    signal = "currentIndexChanged"

    def __init__(self, widget: Any, parameter: Parameter) -> None:
        super().__init__(widget, parameter)
        choice = first(parameter.annotations, Choice)
        if choice is None:
            raise RuntimeError(f"the combo box of {parameter.name} needs the annotation Choice")
        self._choices = list(choice.choices)
        widget.clear()
        widget.addItems([str(value) for value in self._choices])

    def read(self) -> Any:
        return self._choices[self.widget.currentIndex]

    def write(self, value: Any) -> None:
        self.widget.currentIndex = self._choices.index(value)


class LineEdit(Connector):
    widgets = (qt.QLineEdit,)
    types = (str,)
    signal = "textChanged"

    def read(self) -> str:
        return self.widget.text

    def write(self, value: str) -> None:
        if self.widget.text != value:  # writing moves the cursor to the end
            self.widget.text = value


class Label(Connector):
    widgets = (qt.QLabel,)
    types = (str,)

    def connect(self, changed: Callable[[Connector], None]) -> None:
        """A label does not change by itself."""

    def read(self) -> str:
        return self.widget.text

    def write(self, value: str) -> None:
        self.widget.text = value


class TextEdit(Connector):
    widgets = (qt.QTextEdit,)
    types = (str,)
    signal = "textChanged"

    def read(self) -> str:
        return self.widget.toPlainText()

    def write(self, value: str) -> None:
        if self.widget.toPlainText() != value:
            self.widget.setPlainText(value)


class NodeSelector(Connector):
    """Also tells the selector which nodes to offer, as Slicer's does."""

    widgets = (slicer.qMRMLNodeComboBox,)
    signal = "currentNodeChanged"

    def __init__(self, widget: Any, parameter: Parameter) -> None:
        super().__init__(widget, parameter)
        widget.nodeTypes = (parameter.type().GetClassName(),)

    @classmethod
    def fits(cls, widget: Any, parameter: Parameter) -> bool:
        return type(widget) in cls.widgets and parameter.isNode

    def read(self) -> Any:
        return self.widget.currentNode()

    def write(self, value: Any) -> None:
        self.widget.setCurrentNode(value)


_CONNECTORS = (CheckBox, WholeNumber, RealNumber, ComboBox, LineEdit, Label, TextEdit, NodeSelector)


def connectorFor(widget: Any, parameter: Parameter) -> Connector:
    for connector in _CONNECTORS:
        if connector.fits(widget, parameter):
            return connector(widget, parameter)
    raise RuntimeError(f"{type(widget).__name__} cannot show {parameter.name}, a {parameter.type.__name__}")
