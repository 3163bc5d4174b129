"""A folder for one session's data, that goes with the session however it ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "samed-web-"


class PrivateFolder:
    """A temporary folder that only this user can read.

    A lock file beside it is held as long as this process lives, also one that is killed: `sweep` finds what such a one
    left behind.
    """

    def __init__(self, parent: Path | None = None) -> None:
        stem = Path(parent or tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(8)}"
        self._lock = FileLock(f"{stem}.lock", mode=0o600)
        self._lock.acquire(timeout=10)
        self.path = stem
        self.path.mkdir(mode=0o700)

    def new(self) -> Path:
        """An empty folder inside."""
        return Path(tempfile.mkdtemp(dir=self.path))

    def hold_temporary_files(self) -> None:
        """From now on everybody's temporary files in this process and its children lie inside."""
        tempfile.tempdir = str(self.path)
        os.environ["TMPDIR"] = os.environ["TEMP"] = os.environ["TMP"] = str(self.path)

    def clear(self) -> None:
        """Remove all that is inside."""
        for entry in self.path.iterdir():
            shutil.rmtree(entry, ignore_errors=True)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        _release(self._lock)


def sweep(parent: Path | None = None) -> int:
    """Remove the folders of this user's sessions that ended without doing so; how many these were."""
    swept = 0
    for lock_file in Path(parent or tempfile.gettempdir()).glob(f"{_PREFIX}*.lock"):
        folder = lock_file.with_suffix("")
        if not _is_ours(lock_file) or (folder.exists() and not _is_ours(folder)) or folder.is_symlink():
            continue
        lock = FileLock(lock_file, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):  # somebody works there
            continue
        swept += folder.exists()
        shutil.rmtree(folder, ignore_errors=True)
        _release(lock)
    return swept


def _is_ours(path: Path) -> bool:
    """In a folder that everyone writes to, others may lay out links and names."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


def _release(lock: FileLock) -> None:
    # Windows removes no file that is open
    lock.release()
    with contextlib.suppress(OSError):
        Path(lock.lock_file).unlink()
