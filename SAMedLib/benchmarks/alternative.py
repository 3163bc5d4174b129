"""Beside what somebody without patience would take on a CPU: TotalSegmentator's fast mode, an nnU-Net at 3 mm."""

from __future__ import annotations

from functools import partial

import torch

from SAMedLib.benchmarks.made_up import random_network, smooth_slices
from SAMedLib.benchmarks.tasks import FULL_VOLUME, LeftOut, Result, Setting, network_name
from SAMedLib.benchmarks.timing import Way, take_turns
from SAMedLib.events import Reporter
from SAMedLib.inference import Segmenter

_FEATURES = (32, 64, 128, 256, 320)
_CLASSES = 118
_PATCH = (112, 112, 128)
_PATCHES = 8  # at half overlap for 410 mm of an abdomen at 3 mm
_NAME = "nnU-Net at 3 mm"


def measure_alternative(setting: Setting, report: Reporter) -> Result:
    """A scan of 148 slices by ours, and eight patches of a network of the shape of TotalSegmentator's fast mode.

    Only the networks, and for ours the zooms; the alternative's resampling is left out.

    Raises:
        LeftOut: without MONAI, which has that network.
    """
    try:
        from monai.networks.nets import DynUNet
    except ImportError as error:
        raise LeftOut('the network to compare with needs MONAI: pip install "samed[monai]"') from error
    report.progress("alternative", 0, 1, "making networks")
    levels = len(_FEATURES)
    strides = [1, *[2] * (levels - 1)]
    network = DynUNet(3, 1, _CLASSES, [3] * levels, strides, strides[1:], filters=_FEATURES)
    network = network.to(setting.device).eval()
    patch = torch.rand(1, 1, *_PATCH, device=setting.device)

    @torch.inference_mode()
    def one_patch() -> None:
        network(patch)

    ways = [Way(_NAME, one_patch, 1 / _PATCHES)]
    for precision in setting.precisions:
        model = random_network(setting.config)
        model.merge_lora()
        segmenter = Segmenter(model, str(setting.device), precision, setting.batch_size)
        images = smooth_slices(segmenter.batch_size)
        ways.append(Way(precision, partial(segmenter.predict, images), len(images) / FULL_VOLUME[0]))
    rows = take_turns(ways, setting.rounds or 3, setting.device, "alternative", report, setting.warm_up)
    title = f"a scan of {FULL_VOLUME[0]} slices, {network_name(setting)}"
    remarks = (
        f"{_NAME}: the shape of TotalSegmentator's fast mode, random weights, float32, {_PATCHES} patches; x is "
        f"against it",
        f"one patch and {len(images)} slices are measured, and multiplied",
    )
    return Result("alternative", title, "scan", rows, remarks, yardstick=_NAME)
