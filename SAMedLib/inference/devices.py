"""Where to compute, how precisely, and how many slices at once."""

from __future__ import annotations

import torch

from SAMedLib.errors import SAMedError
from SAMedLib.onednn import has_bfloat16
from SAMedLib.ranks import local_rank

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes CUDA, then MPS, then the CPU. "cuda:1" works too.

    Under torchrun, "auto" and "cuda" take the GPU of the process's LOCAL_RANK.

    Raises:
        SAMedError: if this machine has no such device.
    """
    kind, _, index = name.partition(":")
    if kind not in DEVICES or not (index.isdecimal() or not index):
        raise SAMedError(f"There is no device called {name!r}; choose from {', '.join(DEVICES)}.")
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if kind == "auto":
        kind = "cuda" if has_cuda else "mps" if has_mps else "cpu"
    if (kind == "cuda" and not has_cuda) or (kind == "mps" and not has_mps):
        raise SAMedError(f"PyTorch finds no {kind.upper()} device on this machine; use --device cpu or auto.")
    if kind == "cuda":
        number = int(index) if index else local_rank() % torch.cuda.device_count()
        if number >= torch.cuda.device_count():
            raise SAMedError(f"There is no GPU number {number}; this machine has {torch.cuda.device_count()}.")
        return torch.device("cuda", number)
    return torch.device(kind)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What the network's large matrices are multiplied in: float32, bfloat16, or int8.

    "auto" is bfloat16 on GPUs that compute in it, float32 elsewhere: on the CPU exactness comes first.
    "bf16" is float32 on a CPU without bfloat16 instructions; see precision_remark.

    Raises:
        SAMedError: if the precision is unknown, or the device cannot do it.
    """
    if precision == "auto":
        in_bfloat16 = device.type == "cuda" and _computes_in_bf16(device)
        return torch.bfloat16 if in_bfloat16 else torch.float32
    if precision not in PRECISIONS:
        choices = ", ".join(("auto", *PRECISIONS))
        raise SAMedError(f"There is no precision called {precision!r}; choose from {choices}.")
    if precision == "bf16" and device.type == "mps":
        raise SAMedError("bf16 needs a CUDA GPU or the CPU; use --precision fp32 on MPS.")
    if precision == "int8" and device.type != "cpu":
        raise SAMedError("int8 is for the CPU; use --device cpu, or another --precision.")
    return torch.float32 if _would_be_emulated(precision, device) else PRECISIONS[precision]


def precision_remark(precision: str, device: torch.device) -> str | None:
    """What to tell the user where choose_dtype takes another precision than was asked for."""
    if not _would_be_emulated(precision, device):
        return None
    return "This CPU has no bfloat16 instructions and would be many times slower with bf16: computing in fp32."


def default_batch_size(device: torch.device, image_size: int) -> int:
    """Slices at once: as many pixels as keep the device busy; more than that only takes memory."""
    pixels = (16 if device.type == "cuda" else 4) * 512**2
    return max(1, pixels // image_size**2)


def free_memory(device: torch.device) -> None:
    """Give cached blocks back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def _would_be_emulated(precision: str, device: torch.device) -> bool:
    return precision == "bf16" and device.type == "cpu" and not has_bfloat16()


def _computes_in_bf16(device: torch.device) -> bool:
    # is_bf16_supported() also says yes to emulation, which is slow
    return torch.version.hip is not None or torch.cuda.get_device_capability(device)[0] >= 8
