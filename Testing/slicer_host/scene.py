"""The MRML scene with the logics of Slicer's modules, as the application has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer
import vtk

# module name -> logic class; the names are those of slicer.modules
_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
}


@dataclass
class SceneWithLogics:
    scene: Any
    applicationLogic: Any
    moduleLogics: dict[str, Any]

    def clear(self) -> None:
        """Close the scene as File > Close Scene does: singleton nodes stay, with default values."""
        self.scene.Clear(False)

    def release(self) -> None:
        """Let go of everything, in the order that VTK's destructors can bear."""
        vtk.vtkObject.GlobalWarningDisplayOff()  # logics look for files and nodes when their scene goes
        self.scene.Clear(True)
        for logic in reversed(self.moduleLogics.values()):
            logic.SetMRMLScene(None)
        self.moduleLogics.clear()
        self.applicationLogic.SetMRMLScene(None)


def createScene() -> SceneWithLogics:
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    application.GetColorLogic().SetMRMLScene(scene)
    application.GetColorLogic().AddDefaultColorNodes()
    _addGenericColors(scene)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    # slicer-core brings neither colour nor terminology files, and the logics complain
    vtk.vtkObject.GlobalWarningDisplayOff()
    logics = {name: _createLogic(className, application, scene) for name, className in _LOGICS.items()}
    vtk.vtkObject.GlobalWarningDisplayOn()
    for name, logic in logics.items():
        application.SetModuleLogic(name, logic)
    return SceneWithLogics(scene, application, logics)


def _createLogic(className: str, application: Any, scene: Any) -> Any:
    logic = getattr(slicer, className)()
    logic.SetMRMLApplicationLogic(application)
    logic.SetMRMLScene(scene)
    return logic


def _addGenericColors(scene: Any) -> None:
    """The default table of label maps, which the application reads from a file."""
    colors = slicer.vtkMRMLColorTableNode()
    colors.SetTypeToLabels()
    colors.SetName("GenericColors")
    colors.SetSingletonTag("FileGenericColors.txt")
    colors.SetHideFromEditors(True)
    scene.AddNode(colors)
