"""Slice views and 3D of the scene, drawn here and shown in the page, by trame-slicer."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import slicer
import vtk
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories

from SAMedLib.web.sides import build_slice_view

_LAYOUT = "Quad View"
_AXES = slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeAxes


class Views:
    """The scene, and three slices and 3D of it."""

    def __init__(self, server: Any) -> None:
        if not os.environ.get("SAMED_DEBUG"):
            vtk.vtkObject.GlobalWarningDisplayOff()  # several for each window, about how trame-slicer uses VTK
        self._app = SlicerApp()
        self.scene = self._app.scene
        # where slicer.util looks for them
        slicer.mrmlScene = self.scene
        slicer.modules = SimpleNamespace(
            segmentations=SimpleNamespace(logic=lambda: self._app.segmentations_logic),
            volumes=SimpleNamespace(logic=lambda: self._app.volumes_logic),
        )
        register_rca_factories(self._app.view_manager, server, slice_view_ui_f=build_slice_view)
        self.layout = LayoutManager(self.scene, self._app.view_manager, server)
        self.layout.register_layout_dict(LayoutManager.default_grid_configuration())
        self.layout.set_layout(_LAYOUT)
        for view in self._app.view_manager.get_views():
            view.render_window().SetMultiSamples(0)  # many times slower without a graphics card, and hardly seen
        for view in self._app.view_manager.get_threed_views():
            view.set_orientation_marker(_AXES, slicer.vtkMRMLAbstractViewNode.OrientationMarkerSizeSmall)

    def show(self, volume_node: Any) -> None:
        """Put a volume, or None, into the slice views."""
        self._app.display_manager.show_volume_in_slice_background(volume_node)
        self.reset()

    def reset(self) -> None:
        """Everything in sight, in the middle."""
        self._app.display_manager.reset_views()

    @property
    def editor(self) -> Any:
        """trame-slicer's SegmentationEditor."""
        return self._app.segmentation_editor

    def centre_surfaces(self) -> None:
        """Bring all that is in 3D into sight."""
        for view in self._app.view_manager.get_threed_views():
            view.reset_view()

    def jump(self, ras: tuple[float, float, float]) -> None:
        """Move the slices to a place, in mm; each view shows the same part of its plane."""
        slicer.vtkMRMLSliceNode.JumpAllSlices(self.scene, *ras, slicer.vtkMRMLSliceNode.OffsetJumpSlice)
