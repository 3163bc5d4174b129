"""The qMRML widgets that panels of scripted modules are made of, on the real MRML scene."""

from __future__ import annotations


def install() -> None:
    """Put the widgets into the namespace `slicer`, as the application does; `ctk` must be installed before."""
    import slicer

    from . import node_combo_box, numbers, scene_widgets, segments, tables

    for module in (scene_widgets, node_combo_box, numbers, segments, tables):
        for name, value in vars(module).items():
            if name.startswith(("qMRML", "qSlicer")):
                setattr(slicer, name, value)
