"""The processes that torchrun starts, as one of them sees it. Without torchrun a process is the first, and alone."""

from __future__ import annotations

import os
from pathlib import Path


def rank() -> int:
    """Which of all processes this is."""
    return _number("RANK", 0)


def world_size() -> int:
    """How many processes there are, on all computers."""
    return _number("WORLD_SIZE", 1)


def local_rank() -> int:
    """Which of the processes on this computer this is."""
    return _number("LOCAL_RANK", 0)


def local_world_size() -> int:
    """How many processes there are on this computer."""
    return _number("LOCAL_WORLD_SIZE", world_size())


def has_partners() -> bool:
    """Whether there are other processes, and a way to talk to them."""
    return world_size() > 1 and "MASTER_ADDR" in os.environ


def share_processors() -> None:
    """Have PyTorch compute with this process's part of the computer's processors.

    torchrun sets OMP_NUM_THREADS to 1 for several processes where it is not set, so that the other processors of a
    large computer would do nothing. Any other number is the user's own and stays.
    """
    if local_world_size() > 1 and os.environ.get("OMP_NUM_THREADS") == "1":
        import torch

        torch.set_num_threads(max(1, _processors() // local_world_size()))


def _processors() -> int:
    """Those this process may use; what shares a core, and with it what multiplies, is one."""
    try:
        of_cpu = Path("/sys/devices/system/cpu")
        return len({(of_cpu / f"cpu{n}/topology/thread_siblings_list").read_text() for n in os.sched_getaffinity(0)})
    except (AttributeError, OSError):  # not Linux, or one that does not tell
        return os.cpu_count() or 1


def _number(name: str, otherwise: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else otherwise
