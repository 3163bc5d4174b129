"""Which nodes of a scene a selector offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class NodeFilter:
    types: list[str] = field(default_factory=list)
    excludedTypes: list[str] = field(default_factory=list)
    showDerived: bool = True
    showHidden: bool = False
    attributes: dict[tuple[str, str], Any] = field(default_factory=dict)
    """(node type, attribute name) -> value; None as the value asks only that the attribute exists."""

    def matching(self, scene: Any) -> list[Any]:
        """The nodes that are offered, in the order of the scene."""
        return [node for node in self.ofTypes(scene) if self._isShown(node)]

    def ofTypes(self, scene: Any) -> list[Any]:
        """Also those that are hidden or lack an attribute, and may be offered once they change."""
        if scene is None:
            return []
        nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
        return [node for node in nodes if self._isOfType(node)]

    def _isOfType(self, node: Any) -> bool:
        ofType = node.IsA if self.showDerived else (lambda name: node.GetClassName() == name)
        return any(ofType(name) for name in self.types) and not any(node.IsA(name) for name in self.excludedTypes)

    def _isShown(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        return all(self._has(node, name, value) for (kind, name), value in self.attributes.items() if node.IsA(kind))

    @staticmethod
    def _has(node: Any, name: str, value: Any) -> bool:
        found = node.GetAttribute(name)
        return found is not None if value is None else found == str(value)
