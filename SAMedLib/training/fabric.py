"""Where a run computes: device, precision and processes, as a Lightning Fabric."""

from __future__ import annotations

import logging

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from SAMedLib.errors import SAMedError
from SAMedLib.onednn import has_bfloat16
from SAMedLib.ranks import local_world_size, share_processors, world_size
from SAMedLib.training.options import PRECISIONS


def make_fabric(device: str = "auto", precision: str = "auto") -> Fabric:
    """A launched Fabric; under torchrun it joins the other processes (NCCL on CUDA, gloo on the CPU).

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: fp32, bf16-mixed, fp16-mixed or auto. bf16-mixed is fp32 on a CPU without bfloat16 instructions.

    Raises:
        SAMedError: if the device is not there, or cannot compute in that precision.
    """
    kind, index = _device(device)
    chosen = _precision(precision, kind)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    processes = world_size()
    if processes == 1:
        devices = 1 if index is None else [index]
        fabric = Fabric(accelerator=kind, devices=devices, precision=chosen)
    else:
        here = local_world_size()
        if kind == "cuda" and here > torch.cuda.device_count():
            raise SAMedError(
                f"{here} processes cannot share {torch.cuda.device_count()} CUDA device(s); "
                f"start as many processes as there are devices."
            )
        # the prompt encoder's unused embeddings and the IoU head get no gradient; they must be left without one, so
        # that weight decay does not touch them
        strategy = DDPStrategy(find_unused_parameters=True, process_group_backend="nccl" if kind == "cuda" else "gloo")
        fabric = Fabric(
            accelerator=kind, devices=here, num_nodes=processes // here, precision=chosen, strategy=strategy
        )
    fabric.launch()
    share_processors()
    return fabric


def _device(name: str) -> tuple[str, int | None]:
    kind, _, index = name.partition(":")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind == "auto":
        return next(k for k in ("cuda", "mps", "cpu") if there[k]), None
    if kind not in there or (index and not index.isdecimal()):
        raise SAMedError(f"There is no device called {name!r}; choose auto, cpu, cuda, cuda:N or mps.")
    if not there[kind] or (kind == "cuda" and index and int(index) >= torch.cuda.device_count()):
        raise SAMedError(f"This computer has no device {name} that PyTorch can use; choose --device auto.")
    return kind, int(index) if index else None


def is_emulated(precision: str, kind: str) -> bool:
    """Whether the processor computes in fp32 instead, as it would be many times slower in what was asked for."""
    return precision == "bf16-mixed" and kind == "cpu" and not has_bfloat16()


def _precision(name: str, kind: str) -> str:
    if name == "auto":
        name = "bf16-mixed" if kind == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if name not in PRECISIONS:
        raise SAMedError(f"There is no precision called {name!r}; choose auto, {', '.join(PRECISIONS)}.")
    if is_emulated(name, kind):
        name = "fp32"
    if name == "fp16-mixed" and kind != "cuda":
        raise SAMedError("--precision fp16-mixed needs a CUDA device; use bf16-mixed or fp32.")
    return PRECISIONS[name]
