"""One parameter: how a value of its type is kept in the parameter node."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Any

import slicer

from .annotations import Default, Validator, first

_UNSET = object()


@dataclass(frozen=True)
class Parameter:
    name: str
    type: type
    annotations: tuple[Any, ...]
    default: Any

    @property
    def isNode(self) -> bool:
        return issubclass(self.type, slicer.vtkMRMLNode)

    def read(self, node: Any) -> Any:
        self.ensure(node)  # closing the scene may have taken the value away
        if self.isNode:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.type is bool else self.type(text)

    def write(self, node: Any, value: Any) -> None:
        """Raises TypeError or ValueError for a value that the annotation forbids."""
        self._check(value)
        if self.isNode:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, None if value is None else value.GetID())
        else:
            node.SetParameter(self.name, str(value))

    def ensure(self, node: Any) -> None:
        """Write the default if the node does not know the parameter yet."""
        if not node.HasParameter(self.name):
            self.write(node, self.default)

    def _check(self, value: Any) -> None:
        if value is None and self.isNode:
            return
        allowed = (int, float) if self.type is float else self.type
        if value is None or not isinstance(value, allowed):
            raise TypeError(f"{self.name} must be {self.type.__name__}, not {type(value).__name__}")
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                typing.cast(Validator, annotation).validate(value)


def parametersOf(cls: type) -> dict[str, Parameter]:
    """The annotated attributes of a class; their values in the class body are the defaults."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: _parameter(name, hint, getattr(cls, name, _UNSET)) for name, hint in hints.items()}


def _parameter(name: str, hint: Any, assigned: Any) -> Parameter:
    annotations: tuple[Any, ...] = ()
    if typing.get_origin(hint) is typing.Annotated:
        hint, *rest = typing.get_args(hint)
        annotations = tuple(rest)
    kind = _withoutNone(hint)
    isNode = isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)
    if not isNode and kind not in (str, bool, int, float):
        raise TypeError(f"the stand-in keeps str, bool, int, float and nodes; {name} is {hint}")
    stated = first(annotations, Default)
    default = stated.value if stated is not None and assigned is _UNSET else assigned
    if default is _UNSET:
        default = None if isNode else kind()
    return Parameter(name, kind, annotations, default)


def _withoutNone(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else hint
    return hint
