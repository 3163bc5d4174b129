"""slicer.modules and slicer.app.moduleManager()."""

from __future__ import annotations

import sys
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

from .mrml_widgets.scene_widgets import qSlicerWidget
from .pythonqt.stand_in import standIn, storedProperty


@standIn(slicer)
class qSlicerScriptedLoadableModule(QtCore.QObject):
    """The module object: `parent` of the Python class X, and slicer.modules.x. Modules written in C++ use it too."""

    _logic: Any
    _widget: Any

    name = storedProperty("name", str, "")
    title = storedProperty("title", str, "")
    path = storedProperty("path", str, "")
    categories = storedProperty("categories", "QStringList", [])
    dependencies = storedProperty("dependencies", "QStringList", [])
    contributors = storedProperty("contributors", "QStringList", [])
    associatedNodeTypes = storedProperty("associatedNodeTypes", "QStringList", [])
    helpText = storedProperty("helpText", str, "")
    acknowledgementText = storedProperty("acknowledgementText", str, "")
    icon = storedProperty("icon", QtGui.QIcon, QtGui.QIcon())
    hidden = storedProperty("hidden", bool, False)
    index = storedProperty("index", int, -1)
    widgetRepresentationCreationEnabled = storedProperty("widgetRepresentationCreationEnabled", bool, True)

    def __init__(self, parent: QtCore.QObject, name: str, path: str = "", logic: Any = None) -> None:
        super().__init__(parent)
        self.name = name
        self.title = name
        self.path = path
        self._logic = logic
        self._widget = None

    def logic(self) -> Any:
        return self._logic

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def widgetRepresentation(self) -> Any:
        return self._widget

    def setWidgetRepresentation(self, widget: Any) -> None:
        self._widget = widget


@standIn(slicer)
class qSlicerScriptedLoadableModuleWidget(qSlicerWidget):
    """The frame in the module panel: `parent` of the Python class XWidget."""

    _self: Any
    _entered: bool
    _className: str

    def __init__(self, moduleName: str) -> None:
        super().__init__()
        self._self = None
        self._entered = False
        self._className = moduleName + "Widget"
        QtWidgets.QVBoxLayout(self)
        self.setMRMLScene(slicer.mrmlScene)

    isEntered = QtCore.Property(bool, lambda frame: frame._entered)

    def self(self) -> Any:
        """The Python object."""
        return self._self

    def reload(self) -> None:
        """Make the Python object, from the source that is imported now, and let it build the panel."""
        moduleName = self._className.removesuffix("Widget")
        self._self = getattr(sys.modules[moduleName], self._className)(self)
        setattr(slicer.modules, self._className, self._self)
        self._self.setup()

    def enter(self) -> None:
        self._entered = True
        if hasattr(self._self, "enter"):
            self._self.enter()

    def exit(self) -> None:
        self._entered = False
        if hasattr(self._self, "exit"):
            self._self.exit()


@standIn(slicer)
class qSlicerModuleFactoryManager(QtCore.QObject):
    modulesAboutToBeUnloaded = QtCore.Signal("QStringList")


@standIn(slicer)
class qSlicerModuleManager(QtCore.QObject):
    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleUnloaded = QtCore.Signal(str)

    _modules: dict[str, qSlicerScriptedLoadableModule]
    _factory: qSlicerModuleFactoryManager

    def __init__(self, parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self._modules = {}
        self._factory = qSlicerModuleFactoryManager(self)

    def factoryManager(self) -> qSlicerModuleFactoryManager:
        return self._factory

    def module(self, name: str) -> qSlicerScriptedLoadableModule | None:
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        return list(self._modules)

    def isLoaded(self, name: str) -> bool:
        return name in self._modules

    def add(self, module: qSlicerScriptedLoadableModule) -> None:
        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        setattr(slicer.moduleNames, module.name, module.name)
        self.moduleLoaded.emit(module.name)

    def unloadModules(self) -> None:
        """What the application does first when it quits: it tells of all modules, then unloads the latest first."""
        names = self.modulesNames()[::-1]
        self._factory.modulesAboutToBeUnloaded.emit(names)
        for name in names:
            self.remove(name)

    def remove(self, name: str) -> None:
        """Unload a module: its widget cleans up and is deleted."""
        module = self._modules.pop(name)
        self.moduleAboutToBeUnloaded.emit(name)
        if module.widgetRepresentation() is not None:
            module.widgetRepresentation().deleteLater()
            module.setWidgetRepresentation(None)
        for attribute in (name.lower(), name + "Instance", name + "Widget"):
            if hasattr(slicer.modules, attribute):
                delattr(slicer.modules, attribute)
        delattr(slicer.moduleNames, name)
        self.moduleUnloaded.emit(name)
