"""slicer.app: what scripted modules, slicer.util and ScriptedLoadableModule use of the application."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

from .main_window import qSlicerMainWindow
from .module_manager import qSlicerModuleManager
from .pythonqt.stand_in import standIn, storedProperty
from .scene import SceneWithLogics


@standIn(slicer)
class qSlicerApplication(QtWidgets.QApplication):
    """The application without a layout manager, hence without views."""

    startupCompleted = QtCore.Signal()

    _scene: SceneWithLogics
    _folder: Path
    _modules: qSlicerModuleManager
    _window: qSlicerMainWindow
    _settings: QtCore.QSettings
    _testing: bool

    temporaryPath = storedProperty("temporaryPath", str, "")
    cachePath = storedProperty("cachePath", str, "")
    extensionsInstallPath = storedProperty("extensionsInstallPath", str, "")
    slicerHome = QtCore.Property(str, lambda app: str(app._folder))
    slicerUserSettingsFilePath = QtCore.Property(str, lambda app: app._settings.fileName())
    revision = QtCore.Property(str, lambda app: "0")
    majorVersion = QtCore.Property(int, lambda app: 5)
    minorVersion = QtCore.Property(int, lambda app: 13)
    documentationBaseUrl = QtCore.Property(str, lambda app: "https://slicer.readthedocs.io/en/latest/")

    def __init__(self, scene: SceneWithLogics) -> None:
        super().__init__(["Slicer"])
        self.setApplicationName("Slicer")
        self._scene = scene
        self._folder = Path(tempfile.mkdtemp(prefix="slicer_host_"))
        self._testing = False
        self._settings = QtCore.QSettings(str(self._folder / "Slicer.ini"), QtCore.QSettings.Format.IniFormat)
        self._modules = qSlicerModuleManager(self)
        self.aboutToQuit.connect(self._modules.unloadModules)  # as Slicer does, before any module could connect
        self._window = qSlicerMainWindow(self._modules)
        for name in ("temporaryPath", "cachePath", "extensionsInstallPath"):
            folder = self._folder / name
            folder.mkdir()
            setattr(self, name, str(folder))

    # --- the parts of the application

    def mrmlScene(self) -> Any:
        return self._scene.scene

    def applicationLogic(self) -> Any:
        return self._scene.applicationLogic

    def moduleLogic(self, name: str) -> Any:
        return self._scene.moduleLogics.get(name)

    def moduleManager(self) -> qSlicerModuleManager:
        return self._modules

    def layoutManager(self) -> None:
        return None

    def mainWindow(self) -> qSlicerMainWindow:
        """Also found by slicer.util.mainWindow(), among the top-level widgets; it is never shown."""
        return self._window

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    def settings(self) -> QtCore.QSettings:
        return self._settings

    def revisionUserSettings(self) -> QtCore.QSettings:
        return self._settings

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        return QtCore.QProcessEnvironment.systemEnvironment()

    def moduleDocumentationUrl(self, moduleName: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{moduleName.lower()}.html"

    # --- what it does

    def testingEnabled(self) -> bool:
        """Whether slicer.util answers its own questions; here dialogs are answered by the test instead."""
        return self._testing

    def setTestingEnabled(self, enabled: bool) -> None:
        """As starting Slicer with --testing."""
        self._testing = enabled

    def translate(self, _context: str, text: str) -> str:
        return text

    def pauseRender(self) -> None:
        """There are no views to pause."""

    def resumeRender(self) -> None:
        """There are no views to resume."""

    def removeFolder(self) -> None:
        """Delete what the application wrote; for the end of the process."""
        self._settings.sync()
        shutil.rmtree(self._folder, ignore_errors=True)


def useSettingsOf(application: qSlicerApplication) -> None:
    """Let qt.QSettings() mean the application's settings file, not the user's."""
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    folder = os.path.dirname(application.slicerUserSettingsFilePath)
    scope = QtCore.QSettings.Scope.UserScope
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, folder)
    application.setOrganizationName("NA-MIC")
