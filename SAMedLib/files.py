"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from SAMedLib.errors import SAMedError


def check_writable(path: Path, folder: bool = False) -> None:
    """Find out before the work whether its results can be written.

    Args:
        path: a file to write, or a folder to write into if `folder`; it need not exist.

    Raises:
        SAMedError: if it cannot be made.
    """
    if path.is_dir() and not folder:
        raise SAMedError(f"{path} is a folder; give the name of a file.")
    existing = path if folder and path.exists() else next(p for p in path.absolute().parents if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise SAMedError(f"{path} cannot be written: {existing} is not a folder that you may write to.")


@contextlib.contextmanager
def write_then_rename(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same extensions; rename it to `path` if the block succeeds.

    Missing parent folders are made. On any exception the temporary file is removed and `path` is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        # some writers (safetensors) make files that only their owner can read; give it what a new file has
        (Path(folder) / "mode").touch()
        temporary.chmod((Path(folder) / "mode").stat().st_mode)
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
