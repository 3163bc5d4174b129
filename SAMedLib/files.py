"""Writing files so that a reader never sees half of one, and nothing unfinished stays."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import platform
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.parent import is_alive

_PLAN = "plan.json"  # in such a folder
WORKING = ".samed-"  # how the folder of unfinished files begins
_LONGEST_NAME = 255  # bytes, on every file system that people have
_swept: set[tuple[Path, int]] = set()
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ROOM = 1 << 20  # bytes; writers that do not say why they failed have filled the disk if less than this is left


def check_writable(path: Path, folder: bool = False) -> None:
    """Find out before the work whether its results can be written.

    Args:
        path: a file to write, or a folder to write into if `folder`; it need not exist.

    Raises:
        SAMedError: if it cannot be made.
    """
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise SAMedError(f"The name {path.name[:60]}... is too long for a file; choose a shorter one.")
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
    with write_together(path) as (temporary,):
        yield temporary


@contextlib.contextmanager
def write_together(*paths: Path) -> Iterator[list[Path]]:
    """As write_then_rename, for files that belong together: all are on the disk before the first gets its name."""
    targets = [Path(path) for path in paths]
    with contextlib.ExitStack() as outer:
        outer.enter_context(naming_a_full_disk(targets[0]))
        for path in targets:
            path.parent.mkdir(parents=True, exist_ok=True)
        folder = outer.enter_context(working_folder(targets[0].parent))
        temporaries = [_place_for(path, folder, number, outer) for number, path in enumerate(targets)]
        with contextlib.ExitStack() as inner:
            for path in targets:
                inner.enter_context(naming_a_full_disk(path))  # asked before the temporary files are gone
            yield temporaries
            for temporary in temporaries:
                _settle(temporary)
            if len(targets) > 1 and all(folder in temporary.parents for temporary in temporaries):
                _write_plan(folder, dict(zip(temporaries, targets, strict=True)))
        for temporary, path in zip(temporaries, targets, strict=True):
            os.replace(temporary, path)


def _place_for(path: Path, folder: Path, number: int, stack: contextlib.ExitStack) -> Path:
    """Where to write what will be `path`: below `folder` if that is on the same disk."""
    if not number:
        return folder / path.name
    if folder.stat().st_dev != path.parent.stat().st_dev:
        return stack.enter_context(working_folder(path.parent)) / path.name
    (folder / str(number)).mkdir()
    return folder / str(number) / path.name


def _write_plan(folder: Path, renames: dict[Path, Path]) -> None:
    """Note what is about to be renamed: of a process that is killed half-way, another does the rest."""
    within = {os.path.relpath(a, folder): os.path.relpath(b, folder.parent) for a, b in renames.items()}
    draft = folder / "draft"
    draft.write_text(json.dumps(within), encoding="utf-8")
    with open(draft, "rb+") as handle:
        os.fsync(handle.fileno())
    os.replace(draft, folder / _PLAN)


def _carry_out_plan(folder: Path) -> None:
    try:
        renames = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
        pairs = [(str(source), str(target)) for source, target in renames.items()]
    except (OSError, ValueError, AttributeError):  # there is none, or it is no plan of ours
        return
    for source, target in pairs:
        ours, path = (folder / source).resolve(), (folder.parent / target).resolve()
        # such a folder may come with a dataset of a stranger's, so it reaches no further than that
        if ours.is_relative_to(folder.resolve()) and path.is_relative_to(folder.parent.parent.resolve()):
            with contextlib.suppress(OSError):  # it has its name already
                os.replace(ours, path)


def _settle(temporary: Path) -> None:
    """Bring a file to the disk, and give it the rights that a new file has: some writers (safetensors) do not."""
    mode = temporary.with_name("mode")
    mode.touch()
    temporary.chmod(mode.stat().st_mode)
    with open(temporary, "rb+") as handle:
        os.fsync(handle.fileno())


@contextlib.contextmanager
def working_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent` for files that are not finished; what killed processes left in theirs is removed."""
    if (parent.absolute(), os.getpid()) not in _swept:
        _swept.add((parent.absolute(), os.getpid()))
        remove_leftovers(parent)
    with tempfile.TemporaryDirectory(prefix=f"{WORKING}{_here()}-{os.getpid()}-", dir=parent) as folder:
        yield Path(folder)


def remove_leftovers(parent: Path) -> None:
    """Remove the working folders of processes of this computer that are gone, and end what they were about to end."""
    for folder in parent.glob(f"{WORKING}{_here()}-*"):
        owner = folder.name.split("-")[2]
        if owner.isdecimal() and not is_alive(int(owner)):
            _carry_out_plan(folder)
            shutil.rmtree(folder, ignore_errors=True)


@functools.cache
def _here() -> str:
    """Where process numbers mean what they mean here: this computer and, on Linux, this container."""
    place = platform.node()
    with contextlib.suppress(OSError):
        place += os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(place.encode()):08x}"


@contextlib.contextmanager
def naming_a_full_disk(path: Path) -> Iterator[None]:
    """Raises SAMedError instead of whatever writing `path` fails with, if it is for want of room."""
    try:
        yield
    except SAMedError:
        raise
    except Exception as error:
        if (isinstance(error, OSError) and error.errno in _NO_ROOM) or _is_full(path.parent):
            raise SAMedError(f"The disk of {path} is full; free some space, or choose another folder.") from error
        raise


def _is_full(folder: Path) -> bool:
    """Whether nothing more can be written here: the disk, a quota or a limit on files."""
    try:
        disk = shutil.disk_usage(folder)
        if disk.total and disk.free < _ROOM:  # /proc and the like have no size at all
            return True
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            return file.write(bytes(_ROOM)) < _ROOM
    except OSError as error:
        return error.errno in _NO_ROOM
