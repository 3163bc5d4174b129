"""The Sample Data module's registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import slicer


@dataclass
class SampleDataSource:
    sampleName: str | None = None
    uris: Any = None
    fileNames: Any = None
    nodeNames: Any = None
    thumbnailFileName: str | None = None
    loadFileTypes: Any = None
    loadFiles: Any = None
    loadFileProperties: dict[str, Any] = field(default_factory=dict)
    checksums: Any = None
    customDownloader: Callable[[SampleDataSource], Any] | None = None

    def __post_init__(self) -> None:
        if self.uris is None:
            raise TypeError(f"{self.sampleName}: uris are needed; an empty list if there is a customDownloader")
        if isinstance(self.uris, str):
            self.uris, self.fileNames, self.nodeNames = [self.uris], [self.fileNames], [self.nodeNames]
        if self.nodeNames is None:
            self.nodeNames = [None] * len(self.uris)
        if not len(self.uris) == len(self.fileNames) == len(self.nodeNames):
            raise ValueError(f"{self.sampleName}: as many uris as fileNames as nodeNames")


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataCategory(category: str, title: str) -> None:
        _registry("sampleDataSourceCategories").setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(category: str = "Custom", **properties: Any) -> None:
        source = SampleDataSource(**properties)
        sources = _registry("sampleDataSources").setdefault(category, [])
        if source not in sources:
            sources.append(source)

    @staticmethod
    def sampleDataSourcesByCategory(category: str | None = None) -> Any:
        sources = _registry("sampleDataSources")
        return sources if category is None else sources.get(category, [])


def _registry(name: str) -> dict[str, Any]:
    if not hasattr(slicer.modules, name):
        setattr(slicer.modules, name, {})
    return getattr(slicer.modules, name)
