"""Three slice views and a 3D view of the scene, drawn by MRML's own displayable managers, without a screen."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# before VTK looks for a display that is not there
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow" if sys.platform == "linux" else "")

import slicer
import vtk

_SLICES = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
_MANAGERS_2D = (
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
)
_MANAGERS_3D = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)


def reasonNotToRender() -> str | None:
    """One sentence saying why nothing can be drawn here, None if it can."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libEGL.so.1")
        except OSError as error:
            return f"the views cannot be drawn: EGL is missing ({error}); install libegl1 and libgl1-mesa-dri"
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    supported = window.SupportsOpenGL()
    window.Finalize()
    return None if supported else "the views cannot be drawn: VTK finds no usable OpenGL"


class _View:
    """A window off screen with the displayable managers of one kind of view."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(True)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._interactor.Initialize()
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.SetRenderer(self.renderer)

    def initialize(self, factory: Any, names: Sequence[str]) -> None:
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers.Initialize(factory, self.renderer)

    def save(self, path: Path) -> Path:
        self.window.Render()
        picture = vtk.vtkWindowToImageFilter()
        picture.SetInput(self.window)
        picture.ReadFrontBufferOff()
        writer = vtk.vtkPNGWriter()
        writer.SetInputConnection(picture.GetOutputPort())
        writer.SetFileName(str(path))
        writer.Write()
        return path

    def close(self) -> None:
        """In this order; without it VTK crashes when the scene goes."""
        self.logic.SetMRMLScene(None)
        self.managers.SetMRMLDisplayableNode(None)
        self.window.Finalize()


class _SliceView(_View):
    def __init__(self, name: str, orientation: str, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._slice = vtk.vtkActor2D()
        self._slice.SetMapper(self._mapper)
        self._slice.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(self._slice)  # before the managers, or it hides what they draw
        self.initialize(slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance(), _MANAGERS_2D)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        slicer.app.applicationLogic().GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.node = self.logic.AddSliceNode(name)
        self.managers.SetMRMLDisplayableNode(self.node)
        self.node.SetOrientation(orientation)

    def show(self, volumeNode: Any, centre: Sequence[float] | None) -> None:
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volumeNode.GetID())
        self.logic.ResizeSliceNode(*self.window.GetSize())
        self.logic.FitSliceToBackground()
        self.logic.SnapSliceOffsetToIJK()
        if centre is not None:
            self.node.JumpSliceByOffsetting(*centre)
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())

    def close(self) -> None:
        slicer.app.applicationLogic().GetSliceLogics().RemoveItem(self.logic)
        super().close()


class _ThreeDView(_View):
    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(size)
        self.initialize(slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance(), _MANAGERS_3D)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        slicer.app.applicationLogic().GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.node = self.logic.AddViewNode("1")
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        self.managers.SetMRMLDisplayableNode(self.node)

    def save(self, path: Path) -> Path:
        self.window.Render()
        camera = self.managers.GetDisplayableManagerByClassName("vtkMRMLCameraDisplayableManager").GetCameraNode()
        camera.RotateTo(slicer.vtkMRMLCameraNode.Anterior)
        self.renderer.ResetCamera()
        return super().save(path)

    def close(self) -> None:
        slicer.app.applicationLogic().GetViewLogics().RemoveItem(self.logic)
        super().close()


class Views:
    """Red, Green and Yellow slices, and 3D; made by openViews."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._slices = {name: _SliceView(name, orientation, size) for name, orientation in _SLICES.items()}
        self._threeD = _ThreeDView(size)

    def show(self, volumeNode: Any, centre: Sequence[float] | None = None) -> None:
        """Put the volume into the slice views, through `centre` (RAS, mm) or the middle of the volume."""
        for view in self._slices.values():
            view.show(volumeNode, centre)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Draw each view into FOLDER/NAME.png; segments are in 3D only if they have a closed surface."""
        views: dict[str, _View] = {**self._slices, "3D": self._threeD}
        return {name: view.save(Path(folder) / f"{name}.png") for name, view in views.items()}

    def close(self) -> None:
        for view in (*self._slices.values(), self._threeD):
            view.close()


@contextmanager
def openViews(size: tuple[int, int] = (420, 420)) -> Iterator[Views]:
    """The views, while the block runs; the nodes they need leave the scene with them."""
    before = _nodeIDs()
    views = Views(size)
    added = [identifier for identifier in _nodeIDs() if identifier not in before]
    try:
        yield views
    finally:
        views.close()
        for identifier in added:
            slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetNodeByID(identifier))


def _nodeIDs() -> list[str]:
    return [slicer.mrmlScene.GetNthNode(index).GetID() for index in range(slicer.mrmlScene.GetNumberOfNodes())]
