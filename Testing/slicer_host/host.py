"""Putting `qt`, `ctk` and `slicer` in place."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .unavailable import reasonNotToBoot

if TYPE_CHECKING:
    from .errors import ErrorLog
    from .pythonqt.dialogs import Dialogs


@dataclass
class App:
    """The booted host; `qtApplication` is what modules know as slicer.app."""

    qtApplication: Any
    scene: Any
    errors: ErrorLog
    dialogs: Dialogs


# of Slicer's own modules, those that others switch to
_MODULES_WITHOUT_LOGIC = ("Data", "SampleData", "SegmentEditor", "SegmentStatistics")

_app: App | None = None


def boot() -> App:
    """Start the host, or return the one that runs: there is one per process, until the process ends.

    Raises:
        ImportError: if PySide6 or slicer-core are missing.
    """
    global _app
    if _app is None:
        _app = _start()
    return _app


def closeScene() -> None:
    """Close the scene as the user does with File > Close Scene."""
    import slicer

    slicer.mrmlScene.Clear(False)


def _start() -> App:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    reason = reasonNotToBoot()
    if reason is not None:
        raise ImportError(reason)
    from . import pythonqt
    from .errors import ErrorLog, quietQt
    from .pythonqt.dialogs import Dialogs

    quietQt()
    dialogs = Dialogs()
    pythonqt.install(dialogs)
    import slicer

    from . import ctk_widgets, mrml_widgets, slicer_sources
    from .scene import createScene

    ctk_widgets.install()
    mrml_widgets.install()
    scene = createScene()
    slicer.mrmlScene = scene.scene
    from .application import qSlicerApplication, useSettingsOf
    from .module_manager import qSlicerScriptedLoadableModule

    application = qSlicerApplication(scene)
    useSettingsOf(application)
    slicer.app = application
    slicer_sources.install()
    for name, logic in scene.moduleLogics.items():
        application.moduleManager().add(qSlicerScriptedLoadableModule(application, name, logic=logic))
    for name in _MODULES_WITHOUT_LOGIC:
        application.moduleManager().add(qSlicerScriptedLoadableModule(application, name))
    errors = ErrorLog()
    errors.install()
    atexit.register(_stop, application, scene)
    return App(application, scene.scene, errors, dialogs)


def _stop(application: Any, scene: Any) -> None:
    """Quit in the application's order: modules clean up, widgets go, then the scene."""
    from PySide6 import QtCore

    application.aboutToQuit.emit()
    for widget in application.topLevelWidgets():
        widget.deleteLater()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    scene.release()
    application.removeFolder()
