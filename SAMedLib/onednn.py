"""Products of matrices by oneDNN on a CPU.

PyTorch gives those of float32 to MKL, which is half as fast on AMD processors with AVX-512: 107 against 222 GFLOP/s of
one thread for the layers of ViT-B.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=1)
def multiplies_with_onednn() -> bool:
    """Whether this PyTorch can."""
    if not torch.backends.mkldnn.is_available():
        return False
    try:
        with torch.no_grad():
            product = multiply(torch.ones(4, 16), torch.eye(16)[:8], torch.ones(8))
        return torch.equal(product, torch.full((4, 8), 2.0))
    except (AttributeError, RuntimeError, TypeError):  # the operation is PyTorch's own and not documented
        return False


def has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16. Without, PyTorch emulates it, many times slower than float32."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a PyTorch that does not tell
        return True


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias of matrices, by oneDNN, without a gradient.

    Give it matrices that are contiguous, or transposed contiguous ones: for parts of rows it has no fast kernel.
    """
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
