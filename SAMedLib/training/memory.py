"""Memory of a training step: how much of a batch fits at once, and keeping what was allocated."""

from __future__ import annotations

import ctypes
import sys

import torch

from SAMedLib.host_memory import available_bytes
from SAMedLib.model import SAMedConfig
from SAMedLib.model.networks import NetworkConfig
from SAMedLib.training.dry_run import saved_for_backward

_SHARE = 0.7  # of free memory, for the activations of a step
_UNKNOWN = 8 << 30
_LOSS_BYTES = 24  # per class and pixel: three float32 that the loss keeps, and as many that come and go
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def parts_that_fit(
    config: NetworkConfig, slices: int, device: torch.device, mixed: bool, label_size: int | None = None
) -> int:
    """Parts in which `slices` slices have to be computed, so that a step's activations fit into free memory.

    Args:
        slices: of one process.
        mixed: whether most activations take two bytes instead of four.
        label_size: side at which the loss compares, if it is not that of the logits.
    """
    fitting = int(_SHARE * free_memory(device) / activation_bytes(config, mixed, label_size))
    return -(-slices // max(fitting, 1))


def activation_bytes(config: NetworkConfig, mixed: bool, label_size: int | None = None) -> int:
    """Memory that the backward pass of one slice needs.

    Of a SAMed, fitted to what was measured per slice on the CPU (MB, fp32 and mixed): tiny 50 and 34, ViT-B at 512
    pixels 1320 and 770; within a tenth for fp32, and for mixed precision on the safe side.

    Of another network, what autograd keeps for the backward pass, found by a dry run, and half as much again for what
    comes and goes. Measured per slice of 224 pixels on the CPU, and in brackets what is estimated: U-Net 390 (480) and
    270 (330), Attention U-Net 420 (470) and 250 (330), Swin UNETR 520 to 650 (540) and 370 (380), UNETR 320 (330) and
    200 (230).
    """
    if isinstance(config, SAMedConfig):
        numbers = _numbers_of_samed(config)
    else:
        numbers = 1.5 * saved_for_backward(config) / 4
    enlarged = config.num_classes * max(0, (label_size or 0) ** 2 - config.logits_size**2)
    return int(numbers * (2.8 if mixed else 4.0)) + _LOSS_BYTES * enlarged


def _numbers_of_samed(config: SAMedConfig) -> int:
    encoder, tokens = config.encoder, config.tokens**2
    positions = 2 * config.tokens * encoder.num_heads
    block = tokens * (24 * encoder.embed_dim + 10 * positions)
    decoder = config.low_res_size**2 * (config.decoder.embed_dim + 12 * config.num_classes)
    return encoder.depth * block + decoder


def free_memory(device: torch.device) -> int:
    """Bytes that may be used on the device; a guess where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return available_bytes() or _UNKNOWN


def keep_freed_memory() -> None:
    """Let glibc's malloc keep large blocks instead of returning them to the system after each operation.

    A step of ViT-B at 512 pixels on the CPU otherwise takes half a million page faults, a fifth of its time. The
    setting is the whole process's, so it is a command's to make, not a library's. Does nothing on other systems.
    """
    if sys.platform.startswith("linux") and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
