"""The main window, as far as scripted modules use it: the module selector."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtWidgets

from .module_manager import qSlicerModuleManager
from .pythonqt.stand_in import standIn


@standIn(slicer)
class qSlicerModuleSelectorToolBar(QtWidgets.QToolBar):
    """Switches modules: the panel that is left is exited, the new one entered."""

    moduleSelected = QtCore.Signal(str)

    _modules: qSlicerModuleManager
    _selected: str

    def __init__(self, modules: qSlicerModuleManager, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self._modules = modules
        self._selected = ""
        modules.moduleUnloaded.connect(self._onModuleUnloaded)

    selectedModule = QtCore.Property(str, lambda bar: bar._selected)

    def selectModule(self, name: str) -> None:
        """Nothing happens if there is no such module."""
        if not self._modules.isLoaded(name) or name == self._selected:
            return
        if self._selected:
            frame = self._modules.module(self._selected).widgetRepresentation()
            if frame is not None:
                frame.exit()
        self._selected = name
        frame = self._modules.module(name).widgetRepresentation()
        if frame is not None:
            frame.enter()
        self.moduleSelected.emit(name)

    def _onModuleUnloaded(self, name: str) -> None:
        if name == self._selected:
            self._selected = ""


@standIn(slicer)
class qSlicerMainWindow(QtWidgets.QMainWindow):
    _selector: qSlicerModuleSelectorToolBar

    def __init__(self, modules: qSlicerModuleManager) -> None:
        super().__init__()
        self.objectName = "qSlicerMainWindow"
        self._selector = qSlicerModuleSelectorToolBar(modules, self)
        self.addToolBar(self._selector)

    def moduleSelector(self) -> qSlicerModuleSelectorToolBar:
        return self._selector
