"""Linear layers of the encoder multiplied by oneDNN in float32 on a CPU, forward and backward.

PyTorch gives float32 products to MKL, which is half as fast as oneDNN on AMD processors with AVX-512 (107 against 222
GFLOP/s of one thread for ViT-B's layers). The weights stay as they are: putting them into oneDNN's own layout at every
call takes a twentieth of the product's time.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

_FEWEST_PRODUCTS = 1 << 21  # below, calling costs more than is saved


class Linear(nn.Linear):
    """nn.Linear, multiplied as `linear` does."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear, to float32 rounding, on [..., in], [out, in] and [out]."""
    if _is_for_onednn(x, weight):
        # in rows, so that the Function returns no view, which could not be changed in place
        return _OneDNNLinear.apply(x.flatten(0, -2), weight, bias).view(*x.shape[:-1], -1)
    return F.linear(x, weight, bias)


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        x.is_cpu
        and x.dtype == weight.dtype == torch.float32
        and x.numel() * len(weight) >= _FEWEST_PRODUCTS
        and not _autocasts()
        and _multiplies_with_onednn()
    )


def _autocasts() -> bool:
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # torch < 2.4 takes no device
        return torch.is_autocast_cpu_enabled()


@lru_cache(maxsize=1)
def _multiplies_with_onednn() -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        with torch.no_grad():
            product = _multiply(torch.ones(4, 16), torch.eye(16)[:8], torch.ones(8))
        return torch.equal(product, torch.full((4, 8), 2.0))
    except (AttributeError, RuntimeError, TypeError):  # the operation is PyTorch's own and not documented
        return False


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class _OneDNNLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        _, of_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(x if of_weight else None, weight)  # of a frozen layer nothing else is needed
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _multiply(gradient, weight.t().contiguous()) if of_x else None,
            _multiply(gradient.t(), x.t()) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )
