"""Attention in float32 on a CPU, one head after the other, with oneDNN's products.

A head's map stays in the cache from the product of queries and keys to the product with the values; all heads at once
make maps of 100 MB in ViT-B's global blocks, and PyTorch gives their products to MKL.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from SAMedLib.onednn import multiplies_with_onednn, multiply

_FEWEST_PRODUCTS = 1 << 21  # of one head; below, calling once for each costs more than is saved


def is_for_one_head_at_a_time(q: Tensor, keys: int) -> bool:
    """Whether attention of queries [..., tokens, dim] to so many keys is faster this way."""
    large = q.shape[-2] * keys * q.shape[-1] >= _FEWEST_PRODUCTS
    return q.is_cpu and q.dtype == torch.float32 and large and multiplies_with_onednn()


def attend_head_by_head(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T) v for [..., tokens, dim] operands with the same leading sizes; v may be narrower than q and k."""
    out = _ByHead.apply(*(operand.contiguous().flatten(0, -3) for operand in (q, k, v)))
    return out.view(*q.shape[:-1], v.shape[-1])


class _ByHead(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        needed = any(ctx.needs_input_grad)
        out = torch.empty(*q.shape[:-1], v.shape[-1])
        maps = []
        for head in range(len(q)):
            scores = multiply(q[head], k[head])
            torch.softmax(scores, dim=-1, out=scores)
            out[head] = multiply(scores, v[head].t())
            if needed:
                maps.append(scores)
        ctx.save_for_backward(q, k, v, *maps)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, *maps = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_q, of_k, of_v = (torch.empty(operand.shape) for operand in (q, k, v))
        for head, chances in enumerate(maps):
            of_chances = multiply(gradient[head], v[head])
            of_scores = torch._softmax_backward_data(of_chances, chances, -1, torch.float32)
            of_q[head] = multiply(of_scores, k[head].t())
            of_k[head] = multiply(of_scores.t(), q[head].t())
            of_v[head] = multiply(chances.t(), gradient[head].t())
        return of_q, of_k, of_v
