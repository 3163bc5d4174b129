"""Widgets that hold a scene."""

from __future__ import annotations

from typing import Any, ClassVar

from PySide6 import QtCore, QtWidgets

from ..pythonqt.stand_in import standIn


class SceneHolder:
    """mrmlScene() and setMRMLScene() of a widget that declares the signal mrmlSceneChanged."""

    cppSignals: ClassVar[dict[str, str]] = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    _scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._scene = scene
        self._onSceneSet()
        self.mrmlSceneChanged.emit(scene)

    def _onSceneSet(self) -> None:
        """For widgets that show something of the scene."""


@standIn()
class qMRMLWidget(SceneHolder, QtWidgets.QWidget):
    mrmlSceneChanged = QtCore.Signal(object)


@standIn()
class qSlicerWidget(SceneHolder, QtWidgets.QWidget):
    mrmlSceneChanged = QtCore.Signal(object)


@standIn()
class qMRMLPlotView(SceneHolder, QtWidgets.QWidget):
    """Remembers its view node; draws nothing."""

    mrmlSceneChanged = QtCore.Signal(object)

    _viewNode: Any = None

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._viewNode = node

    def mrmlPlotViewNode(self) -> Any:
        return self._viewNode

    def fitToContent(self) -> None:
        """There is no plot to fit."""
