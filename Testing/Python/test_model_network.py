"""The network: same numbers as segment_anything and as the published SAMed, at any size."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from SAMedLib.data.augment import to_network_size
from SAMedLib.errors import SAMedError
from SAMedLib.model import DecoderConfig, EncoderConfig, SAMed, SAMedConfig
from SAMedLib.model.lora import LoRALinear
from SAMedLib.model.sam import ImageEncoder
from SAMedLib.model.segment_anything_modeling import ImageEncoderViT


def golden_config(golden) -> SAMedConfig:
    c = json.loads((golden / "tiny_config.json").read_text())
    return SAMedConfig(
        encoder=EncoderConfig(c["embed_dim"], c["depth"], c["heads"], tuple(c["global_attn_indexes"]), c["window"]),
        decoder=DecoderConfig(
            c["dec_dim"], c["dec_depth"], c["dec_heads"], c["dec_mlp"], c["iou_hidden"], c["mask_in_chans"]
        ),
        image_size=c["image_size"],
        num_classes=c["num_classes"] + 1,
        rank=c["rank"],
    )


@pytest.fixture
def golden_model(golden) -> SAMed:
    model = SAMed(golden_config(golden))
    model.load_base(golden / "samed_w4_base_sam_state.pth")
    model.load_adapter(golden / "samed_w4_lora.pth")
    return model.eval()


def randomise(model: torch.nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.1, generator=generator)


@pytest.mark.parametrize("merged", [False, True])
def test_logits_equal_the_published_implementation(golden, golden_model, merged):
    io = np.load(golden / "samed_w4_io.npz")
    if merged:
        golden_model.merge_lora()
    with torch.no_grad():
        out = golden_model(torch.from_numpy(io["image"]))
    for name in ("low_res_logits", "masks", "iou_predictions"):
        np.testing.assert_allclose(getattr(out, name), io[name], atol=1e-5, err_msg=name)


def test_three_equal_channels_give_what_one_channel_gives(golden, golden_model):
    image = torch.from_numpy(np.load(golden / "samed_w4_io.npz")["image"])
    with torch.no_grad():
        one, three = golden_model(image), golden_model(image.repeat(1, 3, 1, 1))
    torch.testing.assert_close(one.masks, three.masks, atol=1e-5, rtol=0)


def test_the_published_parameters_are_trained_and_no_others(golden):
    expected = json.loads((golden / "samed_w4_params.json").read_text())
    model = SAMed(golden_config(golden))
    assert sum(p.numel() for p in model.parameters()) == expected["n_total"]
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == expected["n_trainable"]
    frozen = {
        "sam." + name.replace("attn.qkv.", "attn.qkv.qkv.")
        for name, p in model.named_parameters()
        if not p.requires_grad
    }
    assert frozen == set(expected["frozen"])
    model.low_res_logits(torch.rand(1, 1, 128, 128)).sum().backward()
    idle = {"sam." + name for name, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert idle == set(expected["trainable_without_grad"])


@pytest.mark.parametrize(("image_size", "window"), [(64, 4), (80, 4), (112, 3)])
@pytest.mark.parametrize("with_gradient", [False, True])
def test_encoder_equals_segment_anything_with_and_without_window_padding(image_size, window, with_gradient):
    config = SAMedConfig(
        encoder=EncoderConfig(embed_dim=32, depth=3, num_heads=2, global_attn_indexes=(1,), window_size=window),
        decoder=DecoderConfig(embed_dim=16),
        image_size=image_size,
        lora_targets=(),
    )
    ours = ImageEncoder(config)
    theirs = ImageEncoderViT(
        img_size=image_size, embed_dim=32, depth=3, num_heads=2, out_chans=16, use_rel_pos=True, window_size=window,
        global_attn_indexes=(1,), norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    )  # fmt: skip
    randomise(theirs)
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, image_size, image_size, requires_grad=with_gradient)
    with torch.set_grad_enabled(with_gradient):
        expected, actual = theirs(images), ours(images)
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-4)
    if with_gradient:
        for module, result in ((theirs, expected), (ours, actual)):
            module.zero_grad()
            result.square().sum().backward()
        for (name, p), q in zip(theirs.named_parameters(), ours.parameters(), strict=True):
            torch.testing.assert_close(q.grad, p.grad, atol=1e-4 * p.grad.abs().max().item(), rtol=1e-3, msg=name)


@pytest.mark.parametrize(
    ("encoder", "rank", "decoder_tuning", "total", "trainable"),
    [
        ("vit_b", 4, "full", 92_192_469, 4_913_621),
        ("vit_b", 4, "lora", 92_216_021, 1_645_909),
        ("vit_b", 16, "full", None, 5_355_989),
        ("vit_l", 4, "full", 310_259_157, 5_159_381),
        ("vit_h", 4, "full", 638_474_453, 5_421_525),
    ],
)
def test_parameter_counts_are_the_published_ones(encoder, rank, decoder_tuning, total, trainable):
    config = SAMedConfig(encoder=getattr(EncoderConfig, encoder)(), rank=rank, decoder_tuning=decoder_tuning)
    with torch.device("meta"):
        model = SAMed(config)
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    assert total in (None, sum(n for n, _ in counts))
    assert sum(n for n, trained in counts if trained) == trainable


@pytest.mark.parametrize("targets", [("q",), ("k",), ("v",), ("o",), ("q", "v"), ("o", "v", "k", "q")])
def test_every_lora_target_changes_the_output_and_merging_keeps_it(small_config, targets):
    model = SAMed(dataclasses.replace(small_config, lora_targets=targets, decoder_tuning="lora")).eval()
    images = torch.rand(2, 1, 80, 80)
    with torch.no_grad():
        before = model(images).masks
        for layer in (module for module in model.modules() if isinstance(module, LoRALinear)):
            for b in layer.b.values():
                b.normal_(std=0.5)
        adapted = model(images).masks
        weights = {name: value.clone() for name, value in model.state_dict().items()}
        model.merge_lora()
        merged = model(images).masks
        model.unmerge_lora()
    assert (adapted - before).abs().max() > 1e-4
    torch.testing.assert_close(merged, adapted, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_no_lora_target_leaves_the_encoder_untouched(small_config):
    model = SAMed(dataclasses.replace(small_config, lora_targets=()))
    assert not any(p.requires_grad for p in model.image_encoder.parameters())
    assert all(p.requires_grad for p in model.mask_decoder.parameters())


def test_a_frozen_decoder_leaves_only_lora_and_the_prompt_encoder_to_train(small_config):
    model = SAMed(dataclasses.replace(small_config, decoder_tuning="frozen"))
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all("attn.qkv.a." in n or "attn.qkv.b." in n or n.startswith("prompt_encoder.") for n in trained)


def test_any_class_count_and_image_size_gives_masks_of_that_many_classes(small_config):
    model = SAMed(dataclasses.replace(small_config, num_classes=3, image_size=96)).eval()
    with torch.no_grad():
        out = model(torch.rand(1, 1, 96, 96))
    assert out.masks.shape == (1, 3, 96, 96)
    assert out.low_res_logits.shape == (1, 3, 24, 24)
    assert out.iou_predictions.shape == (1, 3)


def test_images_of_another_size_are_refused(small_config):
    with pytest.raises(ValueError, match="the network takes"):
        SAMed(small_config)(torch.rand(1, 1, 64, 64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 500}, "multiple of 16"),
        ({"lora_targets": ("q", "x")}, "choose from q, k, v, o"),
        ({"decoder_tuning": "some"}, "choose from full, lora, frozen"),
        ({"rank": 0}, "at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_built_says_why(change, message):
    with pytest.raises(SAMedError, match=message):
        SAMedConfig(**change)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (EncoderConfig, {"num_heads": 0}, "encoder's num_heads is 0"),
        (EncoderConfig, {"embed_dim": "768"}, "encoder's embed_dim is '768'"),
        (EncoderConfig, {"window_size": -3}, "encoder's window_size is -3"),
        (DecoderConfig, {"embed_dim": 30, "num_heads": 4}, "30 does not divide into 4 heads"),
        (DecoderConfig, {"depth": 1.5}, "decoder's depth is 1.5"),
        (DecoderConfig, {"embed_dim": 4, "num_heads": 1}, "at least 8"),
    ],
)
def test_a_network_that_cannot_be_built_says_which_size_is_wrong(part, change, message):
    with pytest.raises(SAMedError, match=message):
        part(**change)


def test_a_configuration_survives_json(small_config):
    assert SAMedConfig.from_json(json.loads(json.dumps(small_config.to_json()))) == small_config


def test_the_network_needs_neither_torchvision_nor_the_rest_of_segment_anything():
    """torchvision has to fit torch's build exactly, and often does not; its import takes longer than torch's."""
    script = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from SAMedLib.model import SAMed, SAMedConfig\n"
        "SAMed(SAMedConfig.tiny())\n"
        "assert 'segment_anything' not in sys.modules and 'torch._dynamo' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_whole_of_segment_anything_can_be_imported_beside_it():
    segment_anything = pytest.importorskip("segment_anything", reason="segment_anything needs torchvision")
    ours, theirs = ImageEncoderViT.__init__.__code__, segment_anything.modeling.ImageEncoderViT.__init__.__code__
    assert (ours.co_filename, ours.co_code) == (theirs.co_filename, theirs.co_code)


@pytest.mark.parametrize(("align_corners", "least", "most"), [(True, -0.2, 0.2), (False, 1.3, 1.7)])
def test_aligned_masks_lie_where_the_labels_of_training_lie(align_corners, least, most):
    """Edges near the image's border, made smaller as training does and enlarged as the network's masks are."""
    size = 384
    model = SAMed(dataclasses.replace(SAMedConfig.tiny(), image_size=size, align_corners=align_corners))
    wider = []
    for width in range(8, 40):
        for outside in (slice(0, width), slice(size - width, size)):
            labels = torch.zeros(1, size, size, dtype=torch.uint8)
            labels[:, :, outside] = 1
            _, low_res = to_network_size(torch.zeros(1, size, size), labels, model.config)
            logits = torch.nn.functional.one_hot(low_res, 2).permute(0, 3, 1, 2).float()
            wider.append(float(model.masks(logits)[0, 1, 0].sum()) - width)
    assert least <= np.mean(wider) <= most
