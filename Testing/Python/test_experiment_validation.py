"""What training measures while it goes on: Dice and HD95 of held-out cases, equal to what evaluation would say."""

from __future__ import annotations

import json
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from SAMedLib.data.slices import SliceSet
from SAMedLib.evaluation import hd95
from SAMedLib.imaging.resample import zoom_cubic, zoom_nearest
from SAMedLib.inference.packed_linear import multiplies
from SAMedLib.model import SAMed, SAMedOutput
from SAMedLib.organs import SYNAPSE
from SAMedLib.train import main
from SAMedLib.training.validation import Validator
from training_data import write_network, write_shapes


@pytest.fixture
def held_out():
    """Two cases of smooth noise, slices interleaved, with cubes of four organs."""
    rng = np.random.default_rng(0)
    images = rng.random((10, 48, 48), np.float32)
    labels = np.zeros(images.shape, np.uint8)
    for organ in (1, 3, 5, 7):
        y, x = rng.integers(4, 30, 2)
        labels[1:8, y : y + 14, x : x + 14] = organ
    return SliceSet(images, labels, ["b", "a"] * 5, SYNAPSE)


@torch.no_grad()
def test_distances_are_those_of_whole_cases_on_the_grid_of_the_slices(small_config, held_out):
    torch.manual_seed(1)
    model = SAMed(small_config).eval()
    validation = Validator(held_out, torch.device("cpu"), batch_size=3).measure(model, nullcontext, lambda *_: None)
    images = zoom_cubic(torch.from_numpy(held_out.images), (80, 80))
    predicted = zoom_nearest(model(images[:, None]).masks.argmax(1), (48, 48)).numpy()
    expected = {}
    for label in SYNAPSE:
        both = [
            hd95(predicted[start::2] == label.value, held_out.labels[start::2] == label.value)
            for start in (0, 1)
            if (predicted[start::2] == label.value).any() and (held_out.labels[start::2] == label.value).any()
        ]
        expected[label.name] = np.mean(both) if both else None
    assert any(value is not None for value in expected.values())
    assert validation.hd95 == pytest.approx(expected)
    found = [value for value in expected.values() if value is not None]
    assert validation.mean_hd95 == pytest.approx(np.mean(found))


@pytest.mark.skipif(not multiplies(torch.bfloat16), reason="this CPU or PyTorch does not multiply bfloat16")
def test_validation_uses_the_network_of_inference_and_training_goes_on_with_its_own(small_config, held_out):
    torch.manual_seed(1)
    model = SAMed(small_config).train()

    def forbidden():
        raise AssertionError("the network that is trained was used")

    exact, mixed = (
        Validator(held_out, torch.device("cpu"), 3, mixed).measure(model, forbidden, lambda *_: None)
        for mixed in (False, True)
    )
    assert mixed.mean == pytest.approx(exact.mean, abs=0.05)
    assert model.training
    model.low_res_logits(torch.rand(1, 1, 80, 80)).sum().backward()
    assert any(parameter.grad is not None for parameter in model.image_encoder.parameters())


def test_a_perfect_model_has_distance_zero_and_an_empty_one_none(small_config, held_out):
    class Fixed(torch.nn.Module):
        config = small_config

        def __init__(self, labels):
            super().__init__()
            self.labels = labels

        def forward(self, images):
            wanted = zoom_nearest(torch.from_numpy(self.labels), (80, 80)).long()
            masks = torch.nn.functional.one_hot(wanted, 9).permute(0, 3, 1, 2).float()
            return SAMedOutput(masks, masks, masks)

    def measured(labels):
        validator = Validator(held_out, torch.device("cpu"), batch_size=10)
        return validator.measure(Fixed(labels), nullcontext, lambda *_: None)

    # order 0 there and back: each slice's pixel comes from the same place again, up to rounding of half a pixel
    perfect = measured(held_out.labels)
    assert perfect.mean_hd95 <= 1.0
    assert perfect.hd95["liver"] is not None
    assert perfect.hd95["pancreas"] is None
    empty = measured(np.zeros_like(held_out.labels))
    assert empty.mean_hd95 is None
    assert empty.mean == 0.0


def test_events_tensorboard_and_the_adapter_have_the_distances_of_each_organ(tmp_path, capfd):
    arguments = ["--data", write_shapes(tmp_path / "data"), "--model-size", write_network(tmp_path / "network.json")]
    arguments += ["--init", "scratch", "--image-size", 64, "--slice-size", 64, "--batch-size", 8, "--epochs", 12]
    arguments += ["--lr", 0.005, "--val-cases", 1, "--val-every", 6, "--device", "cpu", "--augmentation", "none"]
    assert main([*map(str, arguments), "--output", str(tmp_path / "run")]) == 0
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    last = [event for event in events if "hd95" in event][-1]
    assert set(last["hd95"]) == {"disc", "square", "bar"}
    found = {name: value for name, value in last["hd95"].items() if value is not None}
    assert found
    assert last["mean_hd95"] == pytest.approx(np.mean(list(found.values())))
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    for name, value in {
        **{f"hd95/{name}": value for name, value in found.items()},
        "mean_hd95": last["mean_hd95"],
    }.items():
        assert board.Scalars(name)[-1].value == pytest.approx(value)
    assert f"HD95 {last['mean_hd95']:.1f} voxels" in capfd.readouterr().out
