"""A small scripted module for the tests of slicer_host, written as Slicer's template is."""

from __future__ import annotations

from pathlib import Path

SOURCE = """
from typing import Annotated

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

calls = []


class SmallModule(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Small module")
        slicer.app.connect("startupCompleted()", lambda: calls.append("startup"))


@parameterNodeWrapper
class SmallModuleParameterNode:
    volume: vtkMRMLScalarVolumeNode
    threshold: Annotated[float, WithinRange(0, 100)] = 25.0
    count: Annotated[int, Default(3)]
    invert: bool = False
    mode: Annotated[str, Choice(["fast", "exact"])] = "exact"
    note: str = ""


class SmallModuleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.parameters = self.guiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/SmallModule.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = SmallModuleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onEndClose)
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.follow(self.logic.getParameterNode())

    def follow(self, parameters):
        if self.parameters:
            self.parameters.disconnectGui(self.guiTag)
            self.removeObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.onChanged)
        self.parameters = parameters
        if parameters:
            self.guiTag = parameters.connectGui(self.ui)
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self.onChanged)
            self.onChanged()

    def onChanged(self, caller=None, event=None):
        self.ui.applyButton.enabled = self.parameters.volume is not None

    def onApply(self):
        calls.append("apply")

    def onStartClose(self, caller, event):
        self.follow(None)

    def onEndClose(self, caller, event):
        self.follow(self.logic.getParameterNode())

    def cleanup(self):
        calls.append("cleanup")
        self.removeObservers()

    def enter(self):
        calls.append("enter")

    def exit(self):
        calls.append("exit")


class SmallModuleLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return SmallModuleParameterNode(super().getParameterNode())


class SmallModuleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.delayDisplay("testing")
        calls.append("test")
"""

_BOUND = """
     <item>
      <widget class="{cls}" name="{name}">
       {more}
       <property name="SlicerParameterName" stdset="0"><string>{parameter}</string></property>
      </widget>
     </item>"""

_NODE_TYPES = (
    '<property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>'
    '<property name="noneEnabled"><bool>true</bool></property>'
)

_WIDGETS = (
    ("qMRMLNodeComboBox", "volumeSelector", "volume", _NODE_TYPES),
    ("ctkSliderWidget", "thresholdSlider", "threshold", ""),
    ("QSpinBox", "countSpinBox", "count", ""),
    ("QCheckBox", "invertCheckBox", "invert", ""),
    ("QComboBox", "modeComboBox", "mode", ""),
    ("QLineEdit", "noteEdit", "note", ""),
)

_CUSTOM = ("qMRMLWidget", "qMRMLNodeComboBox", "ctkSliderWidget", "ctkCollapsibleButton")


def userInterface() -> str:
    """The module's .ui file."""
    bound = "".join(_BOUND.format(cls=c, name=n, parameter=p, more=more) for c, n, p, more in _WIDGETS)
    custom = "".join(
        f"<customwidget><class>{name}</class><extends>QWidget</extends><header>{name}.h</header>"
        f"<container>{int(name in ('qMRMLWidget', 'ctkCollapsibleButton'))}</container></customwidget>"
        for name in _CUSTOM
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>SmallModule</class>
 <widget class="qMRMLWidget" name="SmallModule">
  <layout class="QVBoxLayout">
   <item>
    <widget class="ctkCollapsibleButton" name="section">
     <property name="text"><string>Inputs</string></property>
     <layout class="QVBoxLayout">{bound}
     </layout>
    </widget>
   </item>
   <item><widget class="QPushButton" name="applyButton"><property name="text"><string>Apply</string></property></widget>
   </item>
  </layout>
 </widget>
 <customwidgets>{custom}</customwidgets>
 <connections>
  <connection>
   <sender>SmallModule</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>volumeSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot>
  </connection>
 </connections>
</ui>
"""


def writeSmallModule(folder: Path) -> Path:
    """Write the module into a folder; returns its .py file."""
    (folder / "Resources" / "UI").mkdir(parents=True)
    (folder / "Resources" / "UI" / "SmallModule.ui").write_text(userInterface(), encoding="utf-8")
    path = folder / "SmallModule.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path
