"""The training loss (paper, equation 4): cross entropy and Dice, as published on the low-resolution logits."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

_SMOOTH = 1e-5


def samed_loss(logits: Tensor, labels: Tensor, dice_weight: float = 0.8) -> tuple[Tensor, Tensor, Tensor]:
    """(1 - dice_weight) * cross entropy + dice_weight * Dice loss, over the batch of all ranks together.

    Dice is one number per class for the whole batch, with squared sums in the denominator and the background as a
    class of its own, as in the published code. Where torch.distributed is initialised, the sums behind both terms run
    over all ranks: every rank gets the loss of the global batch, and gradients averaged over ranks, as DDP does, are
    the gradients of the global batch. Every rank must call it.

    Args:
        logits: [B, K, h, w], any floating type; computed in float32.
        labels: [B, h, w] class numbers, any integer type.
        dice_weight: share of the Dice term.

    Returns:
        total, cross entropy and Dice loss: scalars.
    """
    logits, labels = logits.float(), labels.long()
    classes = logits.shape[1]
    log_probabilities = F.log_softmax(logits, dim=1)
    probabilities = log_probabilities.exp()
    targets = F.one_hot(labels, classes).movedim(-1, 1).to(probabilities.dtype)

    pixels = (0, 2, 3)
    sums = torch.cat(
        [
            (probabilities * targets).sum(pixels),
            probabilities.square().sum(pixels),
            targets.sum(pixels),
            F.nll_loss(log_probabilities, labels, reduction="sum")[None],
        ]
    )
    overlap, predicted, present, negative_log_likelihood = _sum_over_ranks(sums).split([classes, classes, classes, 1])

    cross_entropy = negative_log_likelihood[0] / present.sum()
    dice = (1.0 - (2.0 * overlap + _SMOOTH) / (predicted + present + _SMOOTH)).mean()
    return (1.0 - dice_weight) * cross_entropy + dice_weight * dice, cross_entropy, dice


def _sum_over_ranks(values: Tensor) -> Tensor:
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return _SumOverRanks.apply(values)
    return values


class _SumOverRanks(torch.autograd.Function):
    """All-reduce that gradients pass through.

    The gradient of the sum of all ranks' losses; these are equal, so it needs no communication of its own.
    """

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient * dist.get_world_size()
