"""Attention on a CPU in parts: as many heads at once as the cache holds maps of.

A part's map stays in the cache from the product of queries and keys to the product with the values; all heads at once
make maps of 100 MB in ViT-B's global blocks. Where oneDNN multiplies float32, a part is one head.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from SAMedLib.onednn import multiplies_with_onednn, multiply

_MAP_NUMBERS = 1 << 22  # of a part's maps
_FEWEST_PRODUCTS = 1 << 21  # of one head for oneDNN; below, calling once for each costs more than is saved

_Product = Callable[[Tensor, Tensor], Tensor]


def is_for_parts(q: Tensor) -> bool:
    """Whether attention of these queries is faster this way."""
    return q.is_cpu and q.dtype in (torch.float32, torch.bfloat16)


def attend_in_parts(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T) v for [..., tokens, dim] operands with the same leading sizes; v may be narrower than q and k."""
    out = _InParts.apply(*(operand.contiguous().flatten(0, -3) for operand in (q, k, v)))
    return out.view(*q.shape[:-1], v.shape[-1])


class _InParts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        needed = any(ctx.needs_input_grad)
        at_once, product = _plan(q, k)
        out = q.new_empty(*q.shape[:-1], v.shape[-1])
        maps = []
        for start in range(0, len(q), at_once):
            part = slice(start, start + at_once)
            scores = product(q[part], k[part])
            torch.softmax(scores, dim=-1, out=scores)
            out[part] = product(scores, v[part].transpose(1, 2))
            if needed:
                maps.append(scores)
        ctx.save_for_backward(q, k, v, *maps)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, *maps = ctx.saved_tensors
        at_once, product = _plan(q, k)
        gradient = gradient.contiguous()
        of_q, of_k, of_v = (torch.empty_like(operand) for operand in (q, k, v))
        for number, chances in enumerate(maps):
            part = slice(number * at_once, (number + 1) * at_once)
            of_chances = product(gradient[part], v[part])
            of_scores = torch._softmax_backward_data(of_chances, chances, -1, chances.dtype)
            of_q[part] = product(of_scores, k[part].transpose(1, 2))
            of_k[part] = product(of_scores.transpose(1, 2), q[part].transpose(1, 2))
            of_v[part] = product(chances.transpose(1, 2), gradient[part].transpose(1, 2))
        return of_q, of_k, of_v


def _plan(q: Tensor, k: Tensor) -> tuple[int, _Product]:
    """How many heads are a part, and how x y^T is computed for them."""
    numbers = q.shape[1] * k.shape[1]
    if q.dtype == torch.float32 and numbers * q.shape[2] >= _FEWEST_PRODUCTS and multiplies_with_onednn():
        return 1, _by_onednn
    return max(1, _MAP_NUMBERS // numbers), _by_pytorch


def _by_onednn(x: Tensor, y: Tensor) -> Tensor:
    return multiply(x[0], y[0])[None]


def _by_pytorch(x: Tensor, y: Tensor) -> Tensor:
    return torch.bmm(x, y.transpose(1, 2))
