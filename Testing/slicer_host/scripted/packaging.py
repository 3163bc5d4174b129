"""slicer.packaging that notes down what would be installed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

installed: list[str] = []
"""Every requirement that pip would have been called with."""


def load_requirements(path: str | Path) -> list[Requirement]:
    """The requirements of a requirements.txt; comments and options are passed over."""
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_check(requirements: Any) -> bool:
    """Whether all are there in the versions asked for."""
    return not _missing(requirements)


def pip_ensure(requirements: Any, prompt_install: bool = True, requester: str | None = None, **_: Any) -> None:
    pip_install(_missing(requirements))


def pip_install(requirements: Any, **_: Any) -> None:
    installed.extend(str(requirement) for requirement in _asList(requirements))


def _missing(requirements: Any) -> list[Requirement]:
    return [requirement for requirement in _asList(requirements) if not _isSatisfied(requirement)]


def _asList(requirements: Any) -> list[Requirement]:
    if isinstance(requirements, str):
        requirements = requirements.split()
    elif not isinstance(requirements, Iterable):
        requirements = [requirements]
    return [r if isinstance(r, Requirement) else Requirement(r) for r in requirements]


def _isSatisfied(requirement: Requirement) -> bool:
    if requirement.marker is not None and not requirement.marker.evaluate():
        return True
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return requirement.specifier.contains(version, prereleases=True)
