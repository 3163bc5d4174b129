"""The Python modules that PyPI's slicer-core lacks: ours, or Slicer's own from a checkout."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import slicer

VARIABLE = "SLICER_SOURCE"
_MODULES = ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper", "packaging")


def slicerSource() -> Path | None:
    """Base/Python/slicer of the Slicer checkout that SLICER_SOURCE names; None if the variable is not set.

    Raises:
        FileNotFoundError: if it names something else.
    """
    if not os.environ.get(VARIABLE):
        return None
    folder = Path(os.environ[VARIABLE]) / "Base" / "Python" / "slicer"
    if not (folder / "ScriptedLoadableModule.py").is_file():
        raise FileNotFoundError(f"{VARIABLE} must name a checkout of Slicer; there is no {folder}")
    return folder


def install() -> None:
    """Import the modules as slicer.i18n and so on; from Slicer's sources, util too."""
    slicer.modules = _emptyModule("slicer.modules")
    slicer.moduleNames = _emptyModule("slicer.moduleNames")
    _aliasKits()
    source = slicerSource()
    if source is None:
        importlib.import_module("slicer.util")  # comes with slicer-core
        folder = Path(__file__).parent / "scripted"
    else:
        folder = source
        _load("util", folder)
    for name in _MODULES:
        _load(name, folder)
    samples = folder / "modules" if source is None else source.parents[2] / "Modules" / "Scripted" / "SampleData"
    sys.path.append(str(samples))  # `import SampleData`


def _aliasKits() -> None:
    """In the application the wrapped libraries are top-level modules."""
    import slicer_core

    for name in ("MRMLCore", "MRMLLogic", "vtkSegmentationCore", "vtkITK"):
        library = getattr(slicer_core, name, None)
        if library is not None:
            sys.modules.setdefault(name, library)
            sys.modules.setdefault(name + "Python", library)


def _emptyModule(name: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    return module


def _load(name: str, folder: Path) -> None:
    package = folder / name / "__init__.py"
    path = package if package.is_file() else folder / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"slicer.{name}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[f"slicer.{name}"] = module
    setattr(slicer, name, module)
    specification.loader.exec_module(module)
