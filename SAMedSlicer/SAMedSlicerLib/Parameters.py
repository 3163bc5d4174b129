"""The user's choices, kept in the scene."""

from __future__ import annotations

from typing import Any


class Parameters:
    """Stands for the parameter node of the scene that is open now.

    A scene may be closed and another take its place; who holds this object need not notice. Without a scene every
    value reads as None and nothing is kept.
    """

    def __init__(self) -> None:
        self.follow(None)

    def follow(self, parameterNode: Any) -> None:
        object.__setattr__(self, "_node", parameterNode)

    def __getattr__(self, name: str) -> Any:
        return None if self._node is None else getattr(self._node, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._node is not None:
            setattr(self._node, name, value)
