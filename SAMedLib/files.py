"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from SAMedLib.errors import SAMedError

_FULL = 1 << 20  # bytes; writers that do not say why they failed have filled the disk if less than this is left


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

    Raises:
        SAMedError: if the disk is full.
    """
    path = Path(path)
    with _naming_a_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            with _naming_a_full_disk(path):  # asked before the temporary file is gone
                yield temporary
                # some writers (safetensors) make files that only their owner can read; give it what a new file has
                (Path(folder) / "mode").touch()
                temporary.chmod((Path(folder) / "mode").stat().st_mode)
                with open(temporary, "rb+") as handle:
                    os.fsync(handle.fileno())
            os.replace(temporary, path)


@contextlib.contextmanager
def _naming_a_full_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except SAMedError:
        raise
    except Exception as error:
        said = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if said or (path.parent.is_dir() and shutil.disk_usage(path.parent).free < _FULL):
            raise SAMedError(f"The disk of {path} is full; free some space, or choose another folder.") from error
        raise
