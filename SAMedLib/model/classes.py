"""Weights that belong to one class each, when a model for some labels is the start for others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from SAMedLib.organs import Classes

# what depends on the number of classes; the published code leaves these at their initialisation when it reads a base
CLASS_DEPENDENT = ("mask_tokens", "output_hypernetworks_mlps", "iou_prediction_head")
_HYPERNETWORK = re.compile(r"(.*output_hypernetworks_mlps\.)(\d+)(\..*)")


def in_order(classes: Classes, num_classes: int) -> bool:
    """Whether these are all classes of a file that has `num_classes`, as they are there."""
    return list(classes) == list(range(num_classes))


def is_class_dependent(name: str) -> bool:
    return any(part in name for part in CLASS_DEPENDENT)


def take_classes(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], classes: Classes
) -> tuple[dict[str, Tensor], list[str]]:
    """A SAMed file's tensors for a network of other classes, which keeps its own where the file knows nothing.

    Args:
        state: the file's tensors.
        own: the network's tensors, by the same names.

    Returns:
        the file's tensors with the classes in the network's order, and the names of those that are not, or not
        wholly, the file's.
    """
    last = max((name.split(".layers.")[1][0] for name in own if "iou_prediction_head.layers." in name), default="")
    taken = {name: tensor for name, tensor in state.items() if not is_class_dependent(name)}
    fresh = []
    for name, target in own.items():
        if part := _HYPERNETWORK.fullmatch(name):
            there = classes[int(part[2])]
            source = None if there is None else state.get(f"{part[1]}{there}{part[3]}")
            if there is None:
                taken[name] = target.detach()
                fresh.append(name)
            elif source is not None:
                taken[name] = source
        elif name.endswith("mask_tokens.weight") or f"iou_prediction_head.layers.{last}." in name:
            if name in state and state[name].shape[1:] == target.shape[1:]:
                taken[name] = _rows(state[name], target, classes)
                if None in classes:
                    fresh.append(name)
        elif is_class_dependent(name) and name in state:
            taken[name] = state[name]
    return taken, fresh


def _rows(source: Tensor, target: Tensor, classes: Classes) -> Tensor:
    rows = target.detach().clone()
    for row, there in enumerate(classes):
        if there is not None:
            rows[row] = source[there]
    return rows
