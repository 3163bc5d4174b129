"""Products of matrices by oneDNN on a CPU.

PyTorch gives those of float32 to MKL, which is half as fast on AMD processors with AVX-512: 107 against 222 GFLOP/s of
one thread for the layers of ViT-B. On Intel's a training step is a fifth shorter with MKL.
"""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache(maxsize=1)
def multiplies_with_onednn() -> bool:
    """Whether this PyTorch can, and has nothing faster for this CPU."""
    if not torch.backends.mkldnn.is_available() or (torch.backends.mkl.is_available() and _is_made_by_intel()):
        return False
    try:
        with torch.no_grad():
            found = multiply(torch.ones(4, 16), torch.eye(16)[:8], torch.ones(8))
        return torch.equal(found, torch.full((4, 8), 2.0))
    except (AttributeError, RuntimeError, TypeError):  # the operation is PyTorch's own and not documented
        return False


def _is_made_by_intel() -> bool:
    try:
        name = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # Windows, where the name of the processor ends with its maker, or macOS
        name = platform.processor()
    return "GenuineIntel" in name or (platform.system() == "Darwin" and platform.machine() == "x86_64")


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


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x weight^T of matrices by the faster library, without a gradient where that is oneDNN."""
    return multiply(x, weight) if multiplies_with_onednn() else F.linear(x, weight)
