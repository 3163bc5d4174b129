"""The training loss (paper, equation 4)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SAMedLib.training import samed_loss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 5, 16, 16, generator=generator)
    labels = torch.randint(0, 5, (4, 16, 16), generator=generator, dtype=torch.uint8)
    return logits, labels


def test_loss_and_gradient_equal_the_published_ones(golden):
    recorded = np.load(golden / "loss.npz")
    logits = torch.from_numpy(recorded["logits"]).requires_grad_()
    total, cross_entropy, dice = samed_loss(logits, torch.from_numpy(recorded["target"]))
    total.backward()
    for ours, name in ((total, "total"), (cross_entropy, "ce"), (dice, "dice")):
        assert ours.item() == pytest.approx(recorded[name].item(), abs=1e-6)
    np.testing.assert_allclose(logits.grad.numpy(), recorded["grad"], atol=1e-9)


def test_loss_equals_its_definition_written_out(batch):
    logits, labels = batch
    p = logits.double().softmax(1).numpy()
    t = np.stack([labels.numpy() == k for k in range(5)], axis=1).astype(float)
    cross_entropy = -np.log((p * t).sum(1)).mean()
    overlap, squares = (p * t).sum((0, 2, 3)), (p * p).sum((0, 2, 3)) + t.sum((0, 2, 3))
    dice = (1 - (2 * overlap + 1e-5) / (squares + 1e-5)).mean()
    measured = [value.item() for value in samed_loss(logits, labels, dice_weight=0.3)]
    np.testing.assert_allclose(measured, [0.7 * cross_entropy + 0.3 * dice, cross_entropy, dice], rtol=1e-5)


def test_a_perfect_prediction_costs_nothing_even_where_a_class_is_absent(batch):
    _, labels = batch
    labels = labels.clamp(max=2)
    logits = 50.0 * torch.nn.functional.one_hot(labels.long(), 5).movedim(-1, 1).float()
    assert samed_loss(logits, labels)[0].item() == pytest.approx(0.0, abs=1e-5)


def test_half_precision_logits_are_summed_in_single_precision(batch):
    logits, labels = batch
    rounded = logits.bfloat16()
    assert samed_loss(rounded, labels)[0].item() == pytest.approx(samed_loss(rounded.float(), labels)[0].item())
