"""Linear layers for inference on a CPU, with weights in oneDNN's own layout: in float32, bfloat16, or int8.

The operations are PyTorch's own and not documented; `multiplies` tries them before anything relies on them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from SAMedLib.onednn import has_bfloat16

_LARGEST = 127  # of the numbers that int8 is used for; -128 is left out
_ZERO = 128  # of uint8, which oneDNN wants of what is multiplied by int8 weights: it has no fast kernel for int8


class Layer(Protocol):
    """A linear layer, and GELU if it has one: [..., in] -> [..., out]."""

    def __call__(self, x: Tensor) -> Tensor: ...


def pack(
    weight: Tensor, bias: Tensor, rows: int, dtype: torch.dtype, gelu: bool = False, by_token: bool = False
) -> Layer:
    """A layer that multiplies in `dtype`.

    Args:
        weight, bias: float32 [out, in] and [out]; copied.
        rows: for how many rows of input the layout is chosen; any number works.
        dtype: float32, bfloat16 or int8.
        gelu: apply GELU to the result.
        by_token: see QuantizedLinear; the others do not round what would need it.
    """
    if dtype == torch.int8:
        return QuantizedLinear(weight, bias, rows, gelu, by_token)
    return PackedLinear(weight, bias, rows, dtype, gelu)


def multiplies(dtype: torch.dtype) -> bool:
    """Whether this PyTorch and CPU multiply by packed weights of this dtype."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        return _multiplies_int8() if dtype == torch.int8 else _multiplies_floats(dtype)
    except (AttributeError, RuntimeError, TypeError):
        return False


class PackedLinear:
    """In float32 or bfloat16; input and result have that dtype."""

    def __init__(self, weight: Tensor, bias: Tensor, rows: int, dtype: torch.dtype, gelu: bool = False) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype).contiguous(), rows)
        self.bias = bias.to(dtype)
        self.activation = ("gelu", [], "none") if gelu else ("none", [], "")

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, *self.activation)


class QuantizedLinear:
    """In int8, from float32 or bfloat16 to float32.

    Weights are scaled by output, once. Input is scaled by what is largest in it: in each token, or in all of them. One
    scale for all is faster and allows GELU within the product; it is for what a layer norm gives, where tokens are
    alike. After GELU and after attention one token may be ten times as large as most.
    """

    def __init__(self, weight: Tensor, bias: Tensor, rows: int, gelu: bool = False, by_token: bool = False) -> None:
        assert not (gelu and by_token)
        self.scale = weight.abs().amax(dim=1).clamp_(min=1e-12) / _LARGEST
        whole = (weight / self.scale[:, None]).round_().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(whole, [rows, weight.shape[1]])
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)
        self.bias = bias.clone()
        self.activation = ("gelu", [], "none") if gelu else ("none", [], "")
        self.by_token = by_token

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2).float()
        if self.by_token:
            largest = torch.maximum(rows.amax(dim=1, keepdim=True), -rows.amin(dim=1, keepdim=True)).clamp_(min=1e-12)
            out = self._multiply(_as_uint8(rows, _LARGEST / largest), 1.0, None)
            out.mul_(largest / _LARGEST).add_(self.bias)
        else:
            largest = max(float(rows.max()), -float(rows.min()), 1e-12)
            out = self._multiply(_as_uint8(rows, _LARGEST / largest), largest / _LARGEST, self.bias)
        return out.view(*x.shape[:-1], -1)

    def _multiply(self, rows: Tensor, scale: float, bias: Tensor | None) -> Tensor:
        return torch.ops.onednn.qlinear_pointwise(
            rows, scale, _ZERO, self.weight, self.scale, self.zeros, bias, 1.0, 0, torch.float32, *self.activation
        )


def _as_uint8(rows: Tensor, factor: Tensor | float) -> Tensor:
    """rows * factor, rounded, as zero plus that; by way of int8, for which PyTorch has a fast conversion."""
    return (rows * factor).round_().to(torch.int8).view(torch.uint8).bitwise_xor_(_ZERO)


def _multiplies_floats(dtype: torch.dtype) -> bool:
    if dtype == torch.bfloat16 and not has_bfloat16():
        return False
    with torch.inference_mode():
        linear = PackedLinear(torch.eye(16), torch.ones(16), 4, dtype)
        return bool(torch.equal(linear(torch.ones(4, 16, dtype=dtype)).float(), torch.full((4, 16), 2.0)))


@lru_cache(maxsize=1)
def _multiplies_int8() -> bool:
    """Also whether sums do not saturate, as they do in 16 bits on CPUs without VNNI."""
    if not torch.cpu._is_vnni_supported():
        return False
    with torch.inference_mode():
        linear = QuantizedLinear(torch.ones(16, 64), torch.ones(16), 4)
        product = linear(torch.full((4, 64), 2.0))
        return bool(torch.allclose(product, torch.full((4, 16), 129.0), rtol=1e-4))
