"""The learning rate of each step (paper, equation 5)."""

from __future__ import annotations

import numpy as np
import pytest

from SAMedLib.training import learning_rate


@pytest.mark.parametrize(("recorded", "warmup"), [("warm", 250), ("nowarm", 0)])
def test_every_step_of_the_published_training_uses_the_published_rate(golden, recorded, warmup):
    expected = np.load(golden / "lr_schedule.npz")[recorded]
    rates = [learning_rate(k, 0.005, warmup, 18_600) for k in range(len(expected))]
    np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=0)


def test_the_first_two_steps_of_a_warmup_use_the_same_rate():
    rates = [learning_rate(k, 0.005, 4, 40) for k in range(7)]
    assert rates[:6] == pytest.approx([0.00125, 0.00125, 0.0025, 0.00375, 0.005, 0.005])
    assert rates[6] < 0.005


def test_the_paper_decays_linearly():
    rates = np.array([learning_rate(k, 1.0, 0, 100, power=1.0) for k in range(1, 101)])
    np.testing.assert_allclose(np.diff(rates), -0.01, atol=1e-12)


def test_the_rate_stays_zero_past_the_end_of_the_decay():
    assert learning_rate(500, 0.005, 10, 100) == 0.0
