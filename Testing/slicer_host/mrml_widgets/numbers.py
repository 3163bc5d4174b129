"""The ctk number widgets with a scene, from which Slicer takes units."""

from __future__ import annotations

from PySide6 import QtCore

from ..ctk_widgets.ranges import ctkRangeWidget
from ..ctk_widgets.sliders import ctkDoubleSpinBox, ctkSliderWidget
from ..pythonqt.stand_in import standIn, storedProperty
from .scene_widgets import SceneHolder


@standIn()
class qMRMLSliderWidget(SceneHolder, ctkSliderWidget):
    mrmlSceneChanged = QtCore.Signal(object)
    quantity = storedProperty("quantity", str, "")


@standIn()
class qMRMLSpinBox(SceneHolder, ctkDoubleSpinBox):
    mrmlSceneChanged = QtCore.Signal(object)
    quantity = storedProperty("quantity", str, "")


@standIn()
class qMRMLRangeWidget(SceneHolder, ctkRangeWidget):
    mrmlSceneChanged = QtCore.Signal(object)
    quantity = storedProperty("quantity", str, "")
