"""Learning rate: warmup, then polynomial decay (paper, equation 5)."""

from __future__ import annotations

# the paper prints a linear decay; the published code, which made the published numbers, uses the power 0.9
POWERS = {"published": 0.9, "paper": 1.0}


def learning_rate(
    iteration: int, base_lr: float, warmup_period: int, max_iterations: int, power: float = POWERS["published"]
) -> float:
    """The rate that the step of `iteration` (from 0) uses, as the published trainer computes it.

    That trainer sets the next rate after each step, from the number of the step just done. So everything comes one
    step later than the formula reads: steps 0 and 1 both use base_lr / warmup_period.

    Args:
        base_lr: the highest rate.
        warmup_period: steps of linear warmup, 0 for none.
        max_iterations: the step at which the decay would reach zero; training may stop before.
        power: of the decay.
    """
    if iteration == 0:
        return base_lr / max(warmup_period, 1)
    if iteration <= warmup_period:
        return base_lr * iteration / warmup_period
    done = (iteration - 1 - warmup_period) / max_iterations
    return base_lr * (1.0 - min(done, 1.0)) ** power
