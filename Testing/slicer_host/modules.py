"""Loading a scripted module as qSlicerScriptedLoadableModule does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, NamedTuple

import slicer

from .module_manager import qSlicerScriptedLoadableModule, qSlicerScriptedLoadableModuleWidget


class LoadedModule(NamedTuple):
    module: Any
    """The object of class X."""
    widget: Any
    """The object of class XWidget; its frame is `widget.parent`."""


def loadModule(pathOrName: str | Path) -> LoadedModule:
    """Load a module file, or find it on sys.path by name, and build its panel; the panel is not entered."""
    path = _find(pathOrName)
    name = path.stem
    if slicer.app.moduleManager().isLoaded(name):
        unloadModule(name)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    source = _importFile(name, path)
    parent = qSlicerScriptedLoadableModule(slicer.app, name, str(path))
    module = getattr(source, name)(parent)
    setattr(slicer.modules, name + "Instance", module)
    slicer.app.moduleManager().add(parent)
    if hasattr(module, "setup"):
        module.setup()
    frame = qSlicerScriptedLoadableModuleWidget(name)
    parent.setWidgetRepresentation(frame)
    frame.reload()
    return LoadedModule(module, frame.self())


def reloadModule(name: str) -> LoadedModule:
    """What the developer's Reload button does."""
    slicer.util.reloadScriptedModule(name)
    return LoadedModule(getattr(slicer.modules, name + "Instance"), getattr(slicer.modules, name + "Widget"))


def unloadModule(name: str) -> None:
    """What happens to each module when the application quits; its parameters leave the scene."""
    slicer.app.moduleManager().remove(name)
    for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        if node.GetAttribute("ModuleName") == name:
            slicer.mrmlScene.RemoveNode(node)


def unloadScriptedModules() -> None:
    """Unload every module that loadModule loaded."""
    manager = slicer.app.moduleManager()
    for name in [name for name in manager.modulesNames() if manager.module(name).path]:
        unloadModule(name)


def _find(pathOrName: str | Path) -> Path:
    path = Path(pathOrName)
    if path.suffix == ".py":
        return path.resolve()
    specification = importlib.util.find_spec(str(pathOrName))
    if specification is None or specification.origin is None:
        raise FileNotFoundError(f"no module {pathOrName} on sys.path")
    return Path(specification.origin).resolve()


def _importFile(name: str, path: Path) -> Any:
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} is no Python module")
    source = importlib.util.module_from_spec(specification)
    sys.modules[name] = source
    specification.loader.exec_module(source)
    return source
