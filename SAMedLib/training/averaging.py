"""A running mean of the weights, often better than the last ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of a model's trainable parameters, and of batch norm's statistics of their outputs.

    The decay rises towards its final value as (1 + n) / (10 + n) after n updates, so that early weights are forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters: dict[str, Tensor] = {name: p for name, p in model.named_parameters() if p.requires_grad}
        statistics = ("running_mean", "running_var")
        self._parameters |= {name: b for name, b in model.named_buffers() if name.endswith(statistics)}
        self._decay = decay
        self._updates = 0
        self._means = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        torch._foreach_lerp_(list(self._means.values()), list(self._parameters.values()), 1.0 - decay)
        self._updates += 1

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the mean weights inside the block, and exactly its own again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            parameter.data, self._means[name] = self._means[name], parameter.data

    def state_dict(self) -> dict[str, Tensor | int]:
        return {"updates": self._updates, **self._means}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        self._updates = int(state["updates"])
        for name, mean in self._means.items():
            mean.copy_(state[name])
