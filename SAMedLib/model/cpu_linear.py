"""Linear layers of the encoder, multiplied by oneDNN in float32 on CPUs where that is the faster library.

The weights stay as they are: putting them into oneDNN's own layout at every call takes a twentieth of the product's
time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from SAMedLib.onednn import multiplies_with_onednn, multiply

_FEWEST_PRODUCTS = 1 << 21  # below, calling costs more than is saved


class Linear(nn.Linear):
    """nn.Linear, multiplied as `linear` does."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear, to float32 rounding, on [..., in], [out, in] and [out]."""
    if _is_for_onednn(x, weight):
        # in rows, so that the Function returns no view, which could not be changed in place
        return _OneDNNLinear.apply(x.contiguous().flatten(0, -2), weight, bias).view(*x.shape[:-1], -1)
    # of an input that is not contiguous PyTorch makes a product with a copy of the weights for each row of tokens
    return F.linear(x.contiguous() if x.is_cpu else x, weight, bias)


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.is_cpu
        and x.dtype == weight.dtype == torch.float32
        and x.numel() * len(weight) >= _FEWEST_PRODUCTS
        and not _autocasts()
        and multiplies_with_onednn()
    )


def _autocasts() -> bool:
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # torch < 2.4 takes no device
        return torch.is_autocast_cpu_enabled()


class _OneDNNLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        _, of_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(x if of_weight else None, weight)  # of a frozen layer nothing else is needed
        return multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            multiply(gradient, weight.t().contiguous()) if of_x else None,
            multiply(gradient.t(), x.t()) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )
