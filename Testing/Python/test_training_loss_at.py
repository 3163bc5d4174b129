"""Where the loss compares prediction and labels: at the logits' size, as published, or at the image's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SAMedLib.data.augment import to_network_size
from SAMedLib.model import SAMedConfig
from SAMedLib.training import TrainingOptions, samed_loss, train
from SAMedLib.training.memory import activation_bytes
from SAMedLib.training.preparation import prepare
from training_data import write_network, write_shapes


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loss_at")
    return TrainingOptions(
        data=str(write_shapes(folder / "data", cases=2)),
        model_size=str(write_network(folder / "small.json")),
        init="scratch",
        image_size=64,
        slice_size=64,
        augmentation="none",
        batch_size=12,
        epochs=1,
        device="cpu",
    )


@pytest.mark.parametrize("align_corners", [True, False])
def test_the_loss_is_that_of_the_masks(options, tmp_path, align_corners):
    options = dataclasses.replace(options, loss_at="image", align_corners=align_corners)
    prepared = prepare(options)
    slices = prepared.training
    images, labels = to_network_size(
        torch.from_numpy(slices.images), torch.from_numpy(slices.labels), prepared.model.config, label_size=64
    )
    assert torch.equal(labels.byte(), torch.from_numpy(slices.labels))  # nothing is left out
    with torch.no_grad():
        masks = prepared.model(images).masks
    (step,) = (event for event in train(options, tmp_path / "run").events() if "loss" in event)
    assert step["loss"] == pytest.approx(samed_loss(masks, labels)[0].item(), rel=1e-5)


def test_a_border_between_pixels_of_the_logits_is_learned_only_at_the_image_size():
    """What the best logits of 16 x 16 pixels say of a disc of 64 x 64, by where they were compared with it."""
    side = np.arange(64) - 30.7
    disc = torch.from_numpy((side[:, None] ** 2 + (side - 2.2) ** 2 < 11**2).astype(np.uint8))[None]
    config = SAMedConfig(image_size=64, slice_size=64, num_classes=2)
    dice = {}
    for size in (16, 64):
        labels = to_network_size(disc.float(), disc, config, label_size=size)[1]
        logits = torch.zeros(1, 2, 16, 16, requires_grad=True)
        optimizer = torch.optim.Adam([logits], lr=0.3)
        for _ in range(150):
            optimizer.zero_grad()
            enlarged = torch.nn.functional.interpolate(logits, (size, size), mode="bilinear", align_corners=True)
            samed_loss(enlarged, labels)[0].backward()
            optimizer.step()
        masks = torch.nn.functional.interpolate(logits, (64, 64), mode="bilinear", align_corners=True).argmax(1)
        dice[size] = (2 * (masks & disc).sum() / (masks.sum() + disc.sum())).item()
    assert dice[16] < 0.97 < 0.99 < dice[64]


def test_memory_is_asked_for_what_the_loss_keeps(options):
    config = prepare(options).model.config
    for size, mixed in ((64, False), (64, True)):
        more = activation_bytes(config, mixed, size) - activation_bytes(config, mixed)
        assert more >= 3 * 4 * config.num_classes * (64**2 - 16**2)
