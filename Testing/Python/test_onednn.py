"""What oneDNN multiplies on a CPU, linear layers and attention, trains as with PyTorch's own products."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from SAMedLib import onednn
from SAMedLib.model import EncoderConfig, SAMed, SAMedConfig, cpu_attention, cpu_linear
from SAMedLib.model.attention import RelativePositionAttention
from SAMedLib.model.cpu_attention import attend_in_parts, is_for_parts
from SAMedLib.model.cpu_linear import Linear
from SAMedLib.model.lora import LoRALinear
from SAMedLib.onednn import multiplies_with_onednn

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
ROWS, INPUTS, OUTPUTS = (2, 160), 96, 80  # enough for oneDNN to be taken


@pytest.fixture
def made_by_another(monkeypatch):
    """A CPU on which oneDNN is the faster one."""
    monkeypatch.setattr(onednn, "_is_made_by_intel", lambda: False)
    multiplies_with_onednn.cache_clear()
    yield
    multiplies_with_onednn.cache_clear()


@pytest.fixture
def multiplied(monkeypatch, made_by_another):
    """How often oneDNN was asked, by linear layers and by attention."""
    multiplies_with_onednn()  # asks once itself
    calls, multiply = [], onednn.multiply
    for module in (cpu_linear, cpu_attention):
        monkeypatch.setattr(module, "multiply", lambda *operands: calls.append(1) or multiply(*operands))
    return calls


def gradients(layer: nn.Module, x: torch.Tensor, seed: torch.Tensor) -> list[torch.Tensor | None]:
    x = x.detach().requires_grad_()
    (layer(x) * seed).sum().backward()
    return [x.grad, *(parameter.grad for parameter in layer.parameters())]


@needs_onednn
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_products_and_gradients_equal_those_in_double_precision(bias, frozen, multiplied):
    torch.manual_seed(0)
    layer = Linear(INPUTS, OUTPUTS, bias=bias).requires_grad_(not frozen)
    exact = nn.Linear(INPUTS, OUTPUTS, bias=bias).double()
    exact.load_state_dict(layer.state_dict())
    exact.requires_grad_(not frozen)
    x, seed = torch.randn(*ROWS, INPUTS), torch.randn(*ROWS, OUTPUTS)
    torch.testing.assert_close(layer(x).double(), exact(x.double()), atol=1e-5, rtol=0)
    found, expected = gradients(layer, x, seed), gradients(exact, x.double(), seed.double())
    assert len(multiplied) == (3 if frozen else 4)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one - other).norm() < 1e-6 * other.norm()


@needs_onednn
def test_what_comes_out_can_be_added_to_in_place_as_lora_does(multiplied):
    torch.manual_seed(0)
    adapted = LoRALinear(Linear(INPUTS, 3 * INPUTS).requires_grad_(False), {"q": slice(0, INPUTS)}, 4)
    nn.init.normal_(adapted.b["q"])
    exact = copy.deepcopy(adapted).double()  # in double precision PyTorch multiplies itself
    x, seed = torch.randn(*ROWS, INPUTS), torch.randn(*ROWS, 3 * INPUTS)
    for one, other in zip(gradients(adapted, x, seed), gradients(exact, x.double(), seed.double()), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert (one - other).norm() < 1e-6 * other.norm()
    assert len(multiplied) == 2


@pytest.mark.parametrize("width", [40, 56])
@pytest.mark.parametrize("by_head", [pytest.param(True, marks=needs_onednn), False])
def test_attention_in_parts_has_the_same_values_and_gradients(width, by_head, multiplied, monkeypatch):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 200, 56), torch.randn(2, 3, 200, 56), torch.randn(2, 3, 200, width)
    if not by_head:
        monkeypatch.setattr(cpu_attention, "multiplies_with_onednn", lambda: False)
    monkeypatch.setattr(cpu_attention, "_MAP_NUMBERS", 4 * 200 * 200)  # four heads, and the two that are left
    seed, found = torch.randn_like(v), []
    for operands, attend in (
        ((q, k, v), attend_in_parts),
        ((q.double(), k.double(), v.double()), lambda q, k, v: torch.softmax(q @ k.transpose(-2, -1), dim=-1) @ v),
    ):
        leaves = [operand.clone().requires_grad_() for operand in operands]
        out = attend(*leaves)
        (out * seed).sum().backward()
        found.append([out.detach(), *(leaf.grad for leaf in leaves)])
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 2e-6 * other.norm()
    torch.testing.assert_close(attend_in_parts(q, k, v), found[0][0], atol=0, rtol=0)  # nothing to train
    assert len(multiplied) == (6 * (2 + 4 + 2) if by_head else 0)


@pytest.mark.parametrize(("grid", "window"), [(11, 4), (4, 4), (3, 5)])
def test_windows_in_bands_and_padded_ones_in_one_piece_are_the_same(grid, window):
    torch.manual_seed(0)
    attention = RelativePositionAttention(24, 2, grid, window).double()
    for parameter in attention.parameters():
        nn.init.normal_(parameter)
    qkv, seed = attention.qkv(torch.randn(2, grid, grid, 24).double()).detach(), torch.randn(2, grid, grid, 24)
    found = []
    for attend in (
        attention._attend_in_bands,
        lambda qkv: attention._attend_in_windows(attention._padded(qkv))[:, :grid, :grid],  # as on a GPU
    ):
        leaf = qkv.clone().requires_grad_()
        out = attend(leaf)
        (out * seed).sum().backward()
        found.append((out.detach(), leaf.grad))
    torch.testing.assert_close(found[0], found[1])
    assert found[0][1].abs().max() > 0.01


def test_which_attention_goes_in_parts():
    q = torch.zeros(1, 2, 3)
    assert is_for_parts(q)
    assert is_for_parts(q.bfloat16())
    assert not is_for_parts(q.double())
    assert not is_for_parts(q.to("meta"))


def test_onednn_is_not_asked_where_mkl_is_faster(monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    for by_intel in (True, False):
        monkeypatch.setattr(onednn, "_is_made_by_intel", lambda by_intel=by_intel: by_intel)
        multiplies_with_onednn.cache_clear()
        assert multiplies_with_onednn() == (torch.backends.mkldnn.is_available() and not by_intel)
    multiplies_with_onednn.cache_clear()


def test_autocast_and_a_pytorch_without_onednn_multiply_as_ever(monkeypatch, multiplied):
    layer, x = Linear(INPUTS, OUTPUTS), torch.randn(*ROWS, INPUTS)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    multiplies_with_onednn.cache_clear()
    try:
        torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias), atol=0, rtol=0)
    finally:
        multiplies_with_onednn.cache_clear()
    assert not multiplied


@pytest.mark.parametrize(
    ("cpuinfo", "processor", "system", "machine", "intel"),
    [
        ("vendor_id : GenuineIntel", "", "Linux", "x86_64", True),
        ("vendor_id : AuthenticAMD", "", "Linux", "x86_64", False),
        (None, "Intel64 Family 6 Model 154 Stepping 3, GenuineIntel", "Windows", "AMD64", True),
        (None, "AMD64 Family 25 Model 33 Stepping 2, AuthenticAMD", "Windows", "AMD64", False),
        (None, "i386", "Darwin", "x86_64", True),
        (None, "arm", "Darwin", "arm64", False),
    ],
)
def test_who_made_the_processor(monkeypatch, cpuinfo, processor, system, machine, intel):
    def read_text(path, **options):
        if cpuinfo is None:
            raise FileNotFoundError(path)
        return cpuinfo

    monkeypatch.setattr(onednn.Path, "read_text", read_text)
    for name, said in (("processor", processor), ("system", system), ("machine", machine)):
        monkeypatch.setattr(onednn.platform, name, lambda said=said: said)
    assert onednn._is_made_by_intel() == intel


@needs_onednn
def test_gradients_of_a_network_do_not_depend_on_who_multiplies(monkeypatch, multiplied):
    """LoRA and decoder, with padded windows and a global block, layers and maps large enough for oneDNN."""
    torch.manual_seed(0)
    encoder = EncoderConfig(96, 2, 3, (1,), window_size=11)
    model = SAMed(SAMedConfig(encoder=encoder, image_size=224, slice_size=224))
    for layer in (module for module in model.modules() if isinstance(module, LoRALinear)):
        for b in layer.b.values():
            nn.init.normal_(b, std=0.05)
    images, seed = torch.rand(2, 1, 224, 224), torch.randn(2, 9, 56, 56)

    def of_network() -> torch.Tensor:
        model.zero_grad()
        (model.low_res_logits(images) * seed).sum().backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    fast = of_network()
    assert multiplied
    for module in (cpu_linear, cpu_attention):
        monkeypatch.setattr(module, "multiplies_with_onednn", lambda: False)
    multiplied.clear()
    usual = of_network()
    assert not multiplied
    assert (fast - usual).norm() < 1e-5 * usual.norm()
