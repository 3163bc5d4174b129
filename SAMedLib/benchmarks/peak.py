"""How near the encoder comes to what this machine's matrix products can do."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from SAMedLib.benchmarks.made_up import random_network
from SAMedLib.benchmarks.tasks import Result, Setting, network_name
from SAMedLib.benchmarks.timing import Way, take_turns
from SAMedLib.events import Reporter
from SAMedLib.inference import Segmenter
from SAMedLib.inference.devices import PRECISIONS
from SAMedLib.inference.packed_linear import multiplies, pack
from SAMedLib.model import SAMedConfig

_ROWS, _WIDTH = 4096, 2048  # of the product that shows the peak: large enough for any machine, 34 GFLOP


def measure_peak(setting: Setting, report: Reporter) -> Result:
    """The network's encoder, and one large matrix product by the same library in the same precision."""
    report.progress("peak", 0, 1, "making a network")
    config, device = setting.config, setting.device
    ways, work = [], {}
    for precision in setting.precisions:
        model = random_network(config)
        model.merge_lora()
        segmenter = Segmenter(model, str(device), precision, setting.batch_size)
        images = torch.rand(segmenter.batch_size, 1, config.image_size, config.image_size, device=device)
        product, encoder = f"{precision} product", f"{precision} encoder"
        work[product], work[encoder] = 2 * _ROWS * _WIDTH**2 / 1e9, encoder_gflop(config)
        ways.append(Way(product, _product(PRECISIONS[precision], device), 1))
        ways.append(Way(encoder, partial(_encode, segmenter, images), len(images)))
    rows = take_turns(ways, setting.rounds or 5, device, "peak", report, setting.warm_up, compared=False)
    speeds = {row.name: work[row.name] / row.clock for row in rows}
    remarks = [
        f"{precision}: {speeds[f'{precision} encoder']:.0f} of {speeds[f'{precision} product']:.0f} GFLOP/s, "
        f"{100 * speeds[f'{precision} encoder'] / speeds[f'{precision} product']:.0f} %"
        for precision in setting.precisions
    ]
    remarks.append(f"an encoder has {encoder_gflop(config):.0f} GFLOP a slice, without padded tokens")
    title = f"the encoder of {network_name(setting)} beside a product of {_ROWS} x {_WIDTH} x {_WIDTH}"
    return Result("peak", title, "slice or product", rows, tuple(remarks))


def encoder_gflop(config: SAMedConfig) -> float:
    """Products of the encoder for one slice, in 10^9 operations; padded tokens of windows count as keys only."""
    encoder, tokens = config.encoder, config.tokens
    width, count = encoder.embed_dim, tokens**2
    linear = 2 * count * 12 * width**2
    total = float(encoder.depth * linear)
    for block in range(encoder.depth):
        side = tokens if block in encoder.global_attn_indexes or not encoder.window_size else encoder.window_size
        products = 4 * count * side**2 * width  # queries by keys, and maps by values
        positions = 4 * count * side * width
        total += products + positions
    patches = 2 * count * 256 * width
    neck = 2 * count * (width * config.decoder.embed_dim + 9 * config.decoder.embed_dim**2)
    return (total + patches + neck) / 1e9


def _product(dtype: torch.dtype, device: torch.device) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_ROWS, _WIDTH, generator=generator)
    weight = torch.randn(_WIDTH, _WIDTH, generator=generator) / math.sqrt(_WIDTH)
    if device.type == "cpu" and multiplies(dtype):
        layer = pack(weight, torch.zeros(_WIDTH), _ROWS, dtype)
        if dtype != torch.int8:
            x = x.to(dtype)
        return lambda: layer(x)
    x, weight = (operand.to(device, dtype) for operand in (x, weight))
    return lambda: x @ weight


@torch.inference_mode()
def _encode(segmenter: Segmenter, images: Tensor) -> Tensor:
    with segmenter.computing() as network:
        return network.image_encoder(images)
