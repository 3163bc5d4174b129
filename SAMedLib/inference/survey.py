"""Which devices this computer has for PyTorch, why others cannot be used, and how fast a model is on each."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import statistics
import sys
import time
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.inference.devices import choose_device
from SAMedLib.inference.segmenter import Segmenter
from SAMedLib.model import SAMed
from SAMedLib.training.memory import free_memory

_STAGE = "measuring devices"
_CT_SIZE = 512  # rows and columns of the slice that is measured
_REPETITIONS = 3
_SECONDS = 2.0  # for the repetitions on one device


@dataclass(frozen=True)
class Device:
    """One device, or a kind of device that cannot be used.

    Attributes:
        name: what --device takes.
        title: for people, such as "NVIDIA H100 (80 GB)".
        usable: whether a model can run on it.
        why: a clause that says why, or why not.
        memory_bytes: free now; None where the system does not tell.
        seconds_per_slice: measured; None if it is not usable, or was not measured.
    """

    name: str
    title: str
    usable: bool
    why: str
    memory_bytes: int | None = None
    seconds_per_slice: float | None = None


@dataclass(frozen=True)
class Survey:
    """Attributes: the devices, the name of the one to take, and a clause that says why that one."""

    devices: tuple[Device, ...]
    default: str
    reason: str


def find_devices() -> tuple[Device, ...]:
    """What PyTorch finds, fastest kind first; nothing is measured."""
    return (*_cuda_devices(), _mps_device(), _cpu_device())


def survey(model: SAMed | None, report: Reporter = SILENT) -> Survey:
    """Find the devices, and measure on each how long the model takes for a slice.

    Args:
        model: None to measure nothing.

    Raises:
        Cancelled: if the user asked to stop.
    """
    devices = find_devices()
    if model is not None:
        measured = []
        for done, device in enumerate(devices):
            report.progress(_STAGE, done, len(devices), device.title)
            measured.append(_measured(device, model, report) if device.usable else device)
        devices = tuple(measured)
        report.progress(_STAGE, len(devices), len(devices))
    return Survey(devices, *_choice(devices))


def why_no_cuda(error: str, hidden: str | None = None) -> str:
    """A clause for people.

    Args:
        error: what PyTorch says when CUDA is started.
        hidden: the value of CUDA_VISIBLE_DEVICES, None if it is not set.
    """
    said = error.lower()
    if "not compiled with cuda" in said:
        return "PyTorch was installed without CUDA support"
    if "too old" in said:
        return f"the NVIDIA driver is too old for this PyTorch (CUDA {torch.version.cuda}); update the driver"
    if hidden is not None and hidden.strip() in ("", "-1"):
        return "the setting CUDA_VISIBLE_DEVICES hides every GPU"
    if "no nvidia driver" in said:
        return "there is no NVIDIA GPU, or its driver is not installed"
    if "no cuda gpus" in said:
        return "the NVIDIA driver finds no GPU"
    return f"CUDA does not start ({_first_line(error)})"


def why_not_computing(error: str) -> str:
    """A clause on a GPU that is there but fails at its first calculation."""
    if "no kernel image" in error.lower():
        return "PyTorch finds it, but it is too old for this PyTorch"
    return f"PyTorch finds it, but a test calculation failed ({_first_line(error)})"


def gpu_title(name: str, memory: int) -> str:
    """ "NVIDIA H100 80GB HBM3" with 85 GB becomes "NVIDIA H100 (80 GB)"; makers count in powers of two."""
    return f"{re.sub(r'[ -]+[0-9]+ ?GB.*', '', name)} ({round(memory / 2**30)} GB)"


def _cuda_devices() -> list[Device]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # is_available() warns of what is said here in words
        if not torch.cuda.is_available():
            return [
                Device("cuda", "NVIDIA GPU", False, why_no_cuda(_cuda_error(), os.environ.get("CUDA_VISIBLE_DEVICES")))
            ]
    kind = "ROCm" if torch.version.hip else f"CUDA {torch.version.cuda}"
    found = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        title = gpu_title(properties.name, properties.total_memory)
        free = free_memory(torch.device("cuda", number))
        found.append(Device(f"cuda:{number}", title, True, f"PyTorch finds it ({kind})", free))
    return found


def _cuda_error() -> str:
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return str(error)
    return "No CUDA GPUs are available"


def _mps_device() -> Device:
    title = "Apple GPU"
    if torch.backends.mps.is_available():
        return Device("mps", title, True, "PyTorch finds it (MPS)")
    if platform.system() != "Darwin":
        why = "only Macs have it"
    elif platform.machine() == "x86_64":
        why = "this Python is made for Intel Macs, where PyTorch cannot use the Apple GPU"
    else:
        why = "PyTorch cannot use it with this version of macOS"
    return Device("mps", title, False, why)


def _cpu_device() -> Device:
    threads = torch.get_num_threads()
    title = f"CPU, {threads} thread{'s' * (threads != 1)}"
    free = free_memory(torch.device("cpu")) if sys.platform == "linux" else None
    return Device("cpu", title, True, "every computer has it", free)


def _measured(device: Device, model: SAMed, report: Reporter) -> Device:
    try:
        seconds = _seconds_per_slice(model, device.name, report)
    except (RuntimeError, SAMedError) as error:
        return dataclasses.replace(device, usable=False, why=why_not_computing(str(error)))
    if seconds is None:
        return dataclasses.replace(device, usable=False, why="its memory does not hold this model and a slice")
    return dataclasses.replace(device, seconds_per_slice=seconds)


def _seconds_per_slice(model: SAMed, name: str, report: Reporter) -> float | None:
    """None if the device's memory is too small."""
    segmenter = Segmenter(model, name)
    noise = np.random.default_rng(0).random((segmenter.batch_size, _CT_SIZE, _CT_SIZE), np.float32)
    # the first run of a size is slow: kernels are chosen, memory is taken
    _time(segmenter, noise[:1])
    volume = noise[:1]
    if _time(segmenter, volume) * (_REPETITIONS + 1) * len(noise) < _SECONDS:
        volume = noise
        _time(segmenter, volume)
    taken: list[float] = []
    while len(taken) < _REPETITIONS and sum(taken) < _SECONDS:
        report.check_cancelled()
        taken.append(_time(segmenter, volume))
    if segmenter.device.type != name.partition(":")[0]:
        return None
    return statistics.median(taken) / len(volume)


def _time(segmenter: Segmenter, volume: np.ndarray) -> float:
    start = time.perf_counter()
    segmenter.predict(volume)
    return time.perf_counter() - start


def _choice(devices: tuple[Device, ...]) -> tuple[str, str]:
    """What "auto" takes, or the CPU if that does not work, and why."""
    chosen = str(choose_device("auto"))
    device = next(device for device in devices if device.name == chosen)
    if not device.usable:
        return "cpu", f"{device.title} cannot be used: {device.why}"
    if device.name != "cpu":
        return device.name, "a GPU is faster than the CPU"
    expected = "mps" if platform.system() == "Darwin" else "cuda"
    gpu = next(device for device in devices if device.name.partition(":")[0] == expected)
    return "cpu", f"no GPU was found: {gpu.why}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(".") or "no reason given"
