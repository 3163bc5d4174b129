"""The class decorator: typed attributes on top of a vtkMRMLScriptedModuleNode."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import qt
import slicer
import vtk

from .connectors import Connector, connectorFor
from .parameters import Parameter, parametersOf

SlicerParameterNamePropertyName = "SlicerParameterName"


def isParameterNodeWrapper(classOrObject: Any) -> bool:
    return getattr(classOrObject, "_is_parameter_node_wrapper", False)


def parameterNodeWrapper(cls: type | None = None) -> Any:
    """Class decorator, with or without parentheses."""
    return _wrap if cls is None else _wrap(cls)


def _wrap(cls: type) -> type:
    parameters = parametersOf(cls)
    taken = [name for name in parameters if hasattr(_Wrapper, name)]
    if taken:
        raise ValueError(f"parameters may not be named {', '.join(taken)}")
    for name, parameter in parameters.items():
        setattr(cls, name, property(_reader(parameter), _writer(parameter)))
    members = {"__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls, _Wrapper), {**members, "allParameters": parameters})


def _reader(parameter: Parameter) -> Callable[[Any], Any]:
    return lambda self: self.getValue(parameter.name)


def _writer(parameter: Parameter) -> Callable[[Any, Any], None]:
    return lambda self, value: self.setValue(parameter.name, value)


class _Wrapper:
    """What all wrapped classes can do.

    As in Slicer, values are read when the parameter node says that it was modified, and kept until then: a node that is
    referred to and comes later, as while a scene is loaded, is not seen by a wrapper that was there before.
    """

    allParameters: Mapping[str, Parameter] = {}
    _is_parameter_node_wrapper = True

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._guis: dict[int, tuple[list[Connector], int]] = {}
        self._nextTag = 0
        self._updating = False
        for parameter in self.allParameters.values():
            parameter.ensure(parameterNode)
        self._values: dict[str, Any] = {}
        self._readValues()
        existing = weakref.ref(self)  # else the observer would keep the wrapper alive
        self._observer = parameterNode.AddObserver(
            vtk.vtkCommand.ModifiedEvent, lambda *_: (wrapper := existing()) and wrapper._readValues()
        )

    def __del__(self) -> None:
        self.parameterNode.RemoveObserver(self._observer)

    def getValue(self, name: str) -> Any:
        return self._values[name]

    def setValue(self, name: str, value: Any) -> None:
        with slicer.util.NodeModify(self.parameterNode):  # observers find the new value
            self.allParameters[name].write(self.parameterNode, value)
            self._values[name] = self.allParameters[name].read(self.parameterNode)

    def _readValues(self) -> None:
        self._values = {name: parameter.read(self.parameterNode) for name, parameter in self.allParameters.items()}

    def default(self, name: str) -> Any:
        return self.allParameters[name].default

    def connectGui(self, gui: Any) -> int:
        """Connect the widgets that carry the dynamic property SlicerParameterName; returns a tag for disconnectGui."""
        return self.connectParametersToGui(dict(_namedWidgets(gui)))

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        unknown = [name for name in mapping if name not in self.allParameters]
        if unknown:
            raise ValueError(f"there is no parameter {', '.join(unknown)}")
        connectors = [connectorFor(widget, self.allParameters[name]) for name, widget in mapping.items()]
        self._nextTag += 1
        for connector in connectors:
            connector.write(self.getValue(connector.parameter.name))
            connector.connect(self._onWidgetChanged)
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._updateGui())
        self._guis[self._nextTag] = (connectors, observer)
        return self._nextTag

    def disconnectGui(self, tag: int | None) -> None:
        connectors, observer = self._guis.pop(tag, ([], None))
        for connector in connectors:
            connector.disconnect()
        if observer is not None:
            self.RemoveObserver(observer)

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModifying: Any) -> Any:
        return self.parameterNode.EndModify(wasModifying)

    def AddObserver(self, event: Any, callback: Callable[..., None], priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()

    def _onWidgetChanged(self, connector: Connector) -> None:
        if not self._updating:
            with slicer.util.NodeModify(self.parameterNode):
                self.setValue(connector.parameter.name, connector.read())

    def _updateGui(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self.parameterNode):
                for connectors, _ in list(self._guis.values()):
                    for connector in connectors:
                        connector.write(self.getValue(connector.parameter.name))
        finally:
            self._updating = False


def _namedWidgets(gui: Any) -> Iterator[tuple[str, Any]]:
    isWidget = getattr(gui, "isWidgetType", lambda: False)()
    widgets = gui.findChildren(qt.QWidget) if isWidget else list(vars(gui).values())
    for widget in widgets:
        name = widget.property(SlicerParameterNamePropertyName)
        if name:
            yield name, widget
