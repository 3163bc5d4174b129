"""Which cases are held out, how often they are looked at, and what is measured on them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SAMedLib.data.slices import SliceSet
from SAMedLib.errors import SAMedError
from SAMedLib.model import SAMedConfig
from SAMedLib.organs import LabelSet
from SAMedLib.training.validation import Validator, epochs_between_validations, split_cases


@pytest.mark.parametrize(
    ("training", "validation", "epochs", "every"),
    [
        (1968, 246, 160, 2),
        (1722, 492, 160, 3),
        (1968, 246, 19, 1),
        (1968, 246, 20, 2),
        (100, 100, 160, 9),
        (100, 1, 99, 1),
    ],
)
def test_validation_takes_a_small_share_but_ten_turns(training, validation, epochs, every):
    assert epochs_between_validations(training, validation, epochs) == every


def test_validation_dice_is_that_of_whole_cases():
    class Fixed(torch.nn.Module):
        """Says that the left half of every image is class 1."""

        config = SAMedConfig(image_size=32, slice_size=32, num_classes=3)

        def forward(self, images):
            masks = torch.zeros(len(images), 3, 32, 32)
            masks[:, 1, :, :16] = 1
            return type("Output", (), {"masks": masks})

    labels = np.zeros((4, 32, 32), np.uint8)
    labels[0, :, :16] = 1  # case a: one slice right, one slice falsely marked
    labels[2:, :, :8] = 1  # case b: half of what is marked, twice
    labels[3, :, 20:] = 2  # found nowhere
    slices = SliceSet(
        np.zeros((4, 32, 32), np.float32), labels, ["a", "a", "b", "b"], LabelSet.from_names("two", ["one", "two"])
    )
    measured = Validator(slices, torch.device("cpu"), 3).measure(
        Fixed(), torch.no_grad, on_batch=lambda done, total: None
    )
    assert measured.dice["one"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert measured.dice["two"] == 0.0


@pytest.mark.parametrize(
    ("held_out", "count"), [("0", 0), ("2", 2), ("0.25", 2), ("0.01", 1), ("case3", 1), ("case3, case0", 2)]
)
def test_cases_are_held_out_by_number_fraction_or_name(held_out, count):
    names = [f"case{k}" for k in range(8)]
    training, validation = split_cases(names, held_out, seed=1)
    assert len(validation) == count
    assert sorted(training + validation) == names
    assert split_cases(names[::-1], held_out, seed=1) == (training, validation)
    if held_out.startswith("case"):
        assert "case3" in validation


@pytest.mark.parametrize(
    ("held_out", "message"),
    [("case9", "case9, which is not in the data"), ("8", "leaves none"), ("1.5", "give a number"), ("-1", "give a")],
)
def test_a_wrong_choice_of_validation_cases_is_explained(held_out, message):
    with pytest.raises(SAMedError, match=message):
        split_cases([f"case{k}" for k in range(8)], held_out, seed=1)
