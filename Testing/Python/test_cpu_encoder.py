"""On a CPU a prepared encoder says what the network says, in float32 exactly, in bfloat16 and int8 nearly."""

from __future__ import annotations

import copy
import dataclasses
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from SAMedLib.data.phantom import make_phantom
from SAMedLib.errors import SAMedError
from SAMedLib.evaluation import evaluate_case
from SAMedLib.imaging.volume import window
from SAMedLib.inference import Segmenter
from SAMedLib.inference.cpu_encoder import prepare_for_cpu
from SAMedLib.inference.devices import choose_dtype, precision_remark
from SAMedLib.inference.packed_linear import QuantizedLinear, multiplies
from SAMedLib.model import EncoderConfig, SAMed, cpu_attention, load_model
from SAMedLib.model.build import build_network
from SAMedLib.model.lora import LoRALinear
from SAMedLib.model.monai_config import UNetConfig
from SAMedLib.organs import SYNAPSE

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


def network(config) -> SAMed:
    torch.manual_seed(0)
    model = SAMed(config).eval()
    with torch.no_grad():
        for layer in (module for module in model.modules() if isinstance(module, LoRALinear)):
            for b in layer.b.values():
                b.normal_(std=0.2)
    return model


def logits(model, images):
    with torch.inference_mode():
        return model.low_res_logits(images)


@needs_onednn
@pytest.mark.parametrize(
    "encoder",
    [
        EncoderConfig(32, 3, 2, (1,), window_size=4),  # 5 x 5 tokens: windows of 4 x 4, 4 x 1, 1 x 4 and 1 x 1
        EncoderConfig(32, 2, 2, (1,), window_size=5),  # one window, as large as the image
        EncoderConfig(32, 2, 2, (), window_size=7),  # one window, larger than the image
        EncoderConfig(30, 2, 2, (), window_size=0),  # no windows, a head width of 15
        EncoderConfig(160, 2, 2, (0,), window_size=3),  # the head width of ViT-H
    ],
)
@pytest.mark.parametrize("targets", [("q", "v"), ("k", "o"), ()])
def test_float32_logits_stay_the_same_for_any_window_and_lora(small_config, encoder, targets):
    model = network(dataclasses.replace(small_config, encoder=encoder, lora_targets=targets))
    images = torch.rand(3, 1, 80, 80)
    expected = logits(model, images)
    assert expected.std() > 1e-3
    for merged in (False, True):
        if merged:
            model.merge_lora()
        prepared = prepare_for_cpu(model, torch.float32, batch_size=2)
        torch.testing.assert_close(logits(prepared, images), expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(logits(prepared, images[:1]), expected[:1], atol=1e-5, rtol=0)


@needs_onednn
def test_attention_head_by_head_keeps_float32_logits(small_config, monkeypatch):
    encoder = EncoderConfig(
        128, 2, 2, (1,), window_size=12
    )  # 14 x 14 tokens, edge windows with fewer queries than keys
    model = network(dataclasses.replace(small_config, encoder=encoder, image_size=224))
    images, heads = torch.rand(2, 1, 224, 224), []
    with monkeypatch.context() as patch:
        patch.setattr(cpu_attention, "multiplies_with_onednn", lambda: False)
        expected = logits(model, images)
    monkeypatch.setattr(cpu_attention, "multiplies_with_onednn", lambda: True)  # also where MKL is the faster one
    multiply = cpu_attention.multiply
    monkeypatch.setattr(cpu_attention, "multiply", lambda *operands: heads.append(1) or multiply(*operands))
    torch.testing.assert_close(logits(prepare_for_cpu(model, torch.float32), images), expected, atol=1e-5, rtol=0)
    assert heads


@needs_onednn
def test_preparing_leaves_the_model_as_it_was(small_config):
    model = network(small_config)
    before = copy.deepcopy(model.state_dict())
    encoder = model.image_encoder
    logits(prepare_for_cpu(model, torch.float32), torch.rand(1, 1, 80, 80))
    assert model.image_encoder is encoder
    assert not any(layer.merged for layer in model.modules() if isinstance(layer, LoRALinear))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.low_res_logits(torch.rand(1, 1, 80, 80)).sum().backward()  # it can still be trained
    assert any(parameter.grad is not None for parameter in model.image_encoder.parameters())


@needs_onednn
def test_threads_can_share_a_prepared_model(small_config):
    prepared = prepare_for_cpu(network(small_config), torch.float32)
    images = [torch.rand(1, 1, 80, 80, generator=torch.Generator().manual_seed(seed)) for seed in range(12)]
    expected = [logits(prepared, image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: logits(prepared, image), images))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.skipif(not find_spec("monai"), reason="needs MONAI")
def test_other_networks_and_other_builds_of_pytorch_go_on_as_they_are(small_config, monkeypatch):
    assert prepare_for_cpu(build_network(UNetConfig(image_size=64)), torch.float32) is None
    model, volume = network(small_config), np.random.default_rng(0).random((2, 80, 80), np.float32)
    with_onednn = Segmenter(model, "cpu").predict(volume)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert prepare_for_cpu(model, torch.float32) is None
    assert (Segmenter(model, "cpu").predict(volume) == with_onednn).mean() > 0.9999


@needs_onednn
def test_preparing_in_place_gives_the_same_network_and_holds_weights_once(small_config):
    model = network(small_config)
    images = torch.rand(1, 1, 80, 80)
    expected = logits(prepare_for_cpu(model, torch.float32), images)
    weight = weakref.ref(model.image_encoder.blocks[0].mlp.lin1.weight)
    prepared = prepare_for_cpu(model, torch.float32, in_place=True)
    assert prepared is model
    assert torch.equal(logits(model, images), expected)
    gc.collect()
    assert weight() is None


def test_a_segmenter_changes_its_model_only_to_spare_memory(small_config):
    model, volume = network(small_config), np.random.default_rng(0).random((2, 80, 80), np.float32)
    encoder = model.image_encoder
    expected = Segmenter(model, "cpu").predict(volume)
    assert model.image_encoder is encoder
    assert np.array_equal(Segmenter(model, "cpu", spare_memory=True).predict(volume), expected)
    assert (model.image_encoder is encoder) == (not multiplies(torch.float32))


@pytest.mark.parametrize("by_token", [False, True])
@pytest.mark.skipif(not multiplies(torch.int8), reason="this CPU or PyTorch does not multiply int8")
def test_int8_layers_are_right_to_the_rounding_of_int8(by_token):
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(48, 64, generator=generator), torch.randn(48, generator=generator)
    x = torch.randn(2, 5, 64, generator=generator)
    if by_token:
        x[0, 3] *= 1000  # a token apart must not cost the others their digits
    expected = torch.nn.functional.linear(x, weight, bias)
    found = QuantizedLinear(weight, bias, 10, by_token=by_token)(x)
    error = (found - expected).square().mean(-1).sqrt() / expected.square().mean(-1).sqrt()
    assert error.max() < 0.03
    if not by_token:
        with_gelu = QuantizedLinear(weight, bias, 10, gelu=True)(x)
        torch.testing.assert_close(with_gelu, torch.nn.functional.gelu(found), atol=1e-3, rtol=1e-3)
    assert torch.equal(QuantizedLinear(weight, bias, 10, by_token=by_token)(torch.zeros(1, 64))[0], bias)


def test_int8_that_cannot_be_had_is_refused_in_a_sentence(small_config, monkeypatch):
    monkeypatch.setattr("SAMedLib.inference.cpu_encoder.multiplies", lambda dtype: False)
    with pytest.raises(SAMedError, match="int8 needs .* use --precision bf16 or fp32"):
        Segmenter(network(small_config), "cpu", "int8")
    with pytest.raises(SAMedError, match="int8 is for the CPU"):
        choose_dtype("int8", torch.device("cuda"))


def test_bf16_that_would_be_emulated_is_float32_and_said(small_config, monkeypatch):
    cpu = torch.device("cpu")
    for there, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("SAMedLib.inference.devices.has_bfloat16", lambda there=there: there)
        assert choose_dtype("bf16", cpu) == dtype
        assert (precision_remark("bf16", cpu) is None) == there
    assert precision_remark("fp32", cpu) is None
    assert Segmenter(network(small_config), "cpu", "bf16").dtype == torch.float32
    assert choose_dtype("bf16", torch.device("cuda")) == torch.bfloat16


@pytest.mark.parametrize(("precision", "most_rms", "most_dice"), [("bf16", 0.01, 0.005), ("int8", 0.03, 0.01)])
def test_fewer_digits_cost_the_embedded_model_little(precision, most_rms, most_dice):
    """Dice over all organs of a phantom, and logits, against float32."""
    if precision == "int8" and not multiplies(torch.int8):
        pytest.skip("this CPU or PyTorch does not multiply int8")
    model = load_model("tiny")
    exact, fast = (Segmenter(model, "cpu", one) for one in ("fp32", precision))
    phantom = make_phantom(100_001, in_plane=192, num_slices=8, coverage="full")
    slices = torch.from_numpy(window(phantom.volume.array[2:6, ::2, ::2], *model.metadata.window))[:, None]
    side = model.config.image_size
    images = torch.nn.functional.interpolate(slices.float(), (side, side), mode="bilinear")
    with torch.inference_mode():
        expected = exact.logits(images)
        error = (fast.logits(images) - expected).square().mean().sqrt()
    assert error < most_rms * expected.std()
    means = []
    for segmenter in (exact, fast):
        scores = evaluate_case(segmenter.segment(phantom.volume), phantom.labels, SYNAPSE, (1, 1, 1), protocol="mm")
        means.append(np.mean([score.dsc for score in scores if score.dsc is not None]))
    print(f"rms error {100 * error / expected.std():.2f} % of the logits' std, Dice {means[0]:.4f} and {means[1]:.4f}")
    assert abs(means[0] - means[1]) < most_dice
