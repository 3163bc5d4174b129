"""Memory of this computer that is free."""

from __future__ import annotations

from pathlib import Path


def available_bytes() -> int | None:
    """Memory that this process may still take, also where a container limits it; None where Linux does not tell."""
    return min((value for value in (_of_the_system(), _of_the_container()) if value is not None), default=None)


def _of_the_system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _of_the_container() -> int | None:
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        return None if limit == "max" else int(limit) - int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return None
