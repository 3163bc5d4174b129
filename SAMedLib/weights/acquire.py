"""Bringing a file into the weights folder from the internet: under a lock, checked, and only then under its name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.weights import records
from SAMedLib.weights.registry import FileEntry

if TYPE_CHECKING:
    from SAMedLib.weights.store import Store
    from SAMedLib.weights.transfer import Patience

# left free on the disk beside a new file
_DISK_MARGIN = 64 * 2**20


def download(store: Store, name: str, report: Reporter = SILENT, patience: Patience | None = None) -> Path:
    """Bring the file called `name`, or all files of the model called `name`; what is there already stays.

    Proxies come from the environment (HTTPS_PROXY, NO_PROXY). A transfer that breaks is tried again and resumed; of two
    processes that want the same file, the second waits for the first.

    Returns:
        the verified file; for a model its adapter.

    Raises:
        SAMedError: that says why not, and how to do it by hand.
        Cancelled: if the user asked to stop; the next download goes on from there.
    """
    entry = store.registry.find_file(name)
    if entry is None and name in store.model_names():
        model = store.model_entry(name)
        if model.base:
            download(store, model.base, report, patience)
        return download(store, model.adapter, report, patience)
    if entry is None or entry.url is None:
        return store.locate(name, report)
    path = store.path_of(entry)
    if not path.is_file():
        make_folder(store.folder)
        with only_one(path, report):
            if not path.is_file():  # another process may have brought it while this one waited
                _fetch(store, entry, path, report, patience)
    return store.locate(name, report)


def _fetch(store: Store, entry: FileEntry, path: Path, report: Reporter, patience: Patience | None) -> None:
    from SAMedLib.weights import transfer

    part = part_path(path)
    resumed = part.is_file()
    require_space(entry.bytes - (part.stat().st_size if resumed else 0), f"Downloading {entry.filename}", store.folder)
    try:
        transfer.fetch(entry.url, part, entry.smallest, entry.largest, report, f"downloading {entry.name}", patience)
        digest = records.sha256_of(part, report)
        records.check_content(part, entry, digest)
    except transfer.TransferFailed as error:
        raise SAMedError(
            f"{entry.filename} could not be downloaded: {error}; try again later, or {store.by_hand(entry)}."
        ) from error
    except OSError as error:
        raise SAMedError(
            f"{part} cannot be written ({error.strerror or error}); make room, or set SAMED_HOME to another folder."
        ) from error
    except SAMedError as error:
        transfer.discard(part)
        if resumed:  # two halves of two files; the whole of one may be right
            return _fetch(store, entry, path, report, patience)
        said = str(error).removeprefix(f"{part} ").rstrip(".")
        raise SAMedError(
            f"What was downloaded as {entry.filename} {said}; it was deleted; try again later, or "
            f"{store.by_hand(entry)}."
        ) from error
    put_in_place(part, path)
    records.write_record(path, digest)
    transfer.discard(part)
    return None


def part_path(path: Path) -> Path:
    """Where a download grows before it is checked."""
    return path.with_name(f"{path.name}.part")


def leftovers(path: Path) -> list[Path]:
    """What an unfinished download of `path` leaves: its bytes, and how to go on."""
    part = part_path(path)
    return [part, part.with_name(f"{part.name}.json")]


def put_in_place(complete: Path, path: Path) -> None:
    """Give a finished and checked file its name, once its bytes are on the disk."""
    with open(complete, "rb+") as handle:
        os.fsync(handle.fileno())
    os.replace(complete, path)


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SAMedError(
            f"The weights folder {folder} cannot be made ({error.strerror}); set SAMED_HOME to a folder of yours."
        ) from error


def require_space(size: int, what: str, folder: Path) -> None:
    """Raises SAMedError if the disk of `folder` has no room for `size` bytes."""
    free = shutil.disk_usage(folder).free
    if free < size + _DISK_MARGIN:
        raise SAMedError(
            f"{what} needs {human_size(size)} on the disk of {folder}, which has {human_size(free)} left; make room, "
            f"or set SAMED_HOME to a folder on another disk."
        )


@contextmanager
def only_one(path: Path, report: Reporter, wait: bool = True) -> Iterator[None]:
    """One process at a time brings or removes `path`; the operating system frees the lock of one that dies.

    Raises:
        SAMedError: if another holds the lock and `wait` is False, or the folder cannot be written.
        Cancelled: if the user asked to stop waiting.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    said = False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=0.2 if wait else 0)
        except Timeout:
            if not wait:
                raise SAMedError(f"Another process is at work on {path.name}; stop it first.") from None
            report.check_cancelled()
            if not said:
                report.note(f"Another process is downloading {path.name}; waiting for it.")
                said = True
        except NotImplementedError:  # a network folder without locks: the check before the rename still decides
            break
        except OSError as error:
            raise SAMedError(
                f"The weights folder {path.parent} cannot be written ({error.strerror}); set SAMED_HOME to a folder of "
                f"yours."
            ) from error
    try:
        yield
    finally:
        lock.release()


def human_size(size: int) -> str:
    """For example 375 MB, 7 kB."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"
