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
        """The nodes in the order of the scene."""
        if scene is None:
            return []
        nodes = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
        return [node for node in nodes if self.accepts(node)]

    def accepts(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        ofType = node.IsA if self.showDerived else (lambda name: node.GetClassName() == name)
        if not any(ofType(name) for name in self.types) or any(node.IsA(name) for name in self.excludedTypes):
            return False
        return all(self._has(node, name, value) for (kind, name), value in self.attributes.items() if node.IsA(kind))

    @staticmethod
    def _has(node: Any, name: str, value: Any) -> bool:
        found = node.GetAttribute(name)
        return found is not None if value is None else found == str(value)
