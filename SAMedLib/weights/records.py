"""Is a file on disk what it should be? Checked once in full, then remembered beside it.

Hashing 2.5 GB at every use would cost seconds; so `<file>.verified.json` records size, modification time and SHA-256,
and is believed for as long as size and time are the same.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.files import write_then_rename
from SAMedLib.weights.registry import FileEntry

SUFFIX = ".verified.json"
_BLOCK = 2**20


@dataclass(frozen=True)
class Record:
    """What a full check found.

    Attributes:
        size: bytes.
        mtime_ns: modification time, nanoseconds.
        sha256: hexadecimal.
        checked: when, ISO 8601, UTC.
        base: for an adapter, the registry name of the SAM base under it, None if it needs none or another one.
    """

    size: int
    mtime_ns: int
    sha256: str
    checked: str
    base: str | None = None

    def describes(self, path: Path) -> bool:
        """Whether the file has not been touched since."""
        status = path.stat()
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


def record_path(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def read_record(path: Path) -> Record | None:
    """The record of `path`; None if there is none that can be read."""
    with suppress(OSError, ValueError, TypeError):
        return Record(**json.loads(record_path(path).read_text(encoding="utf-8")))
    return None


def write_record(path: Path, sha256: str, base: str | None = None) -> Record:
    """Remember that `path` was checked. A folder that cannot be written (an administrator's) is fine: no record."""
    status = path.stat()
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record = Record(status.st_size, status.st_mtime_ns, sha256, now, base)
    with suppress(OSError), write_then_rename(record_path(path)) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    return record


def sha256_of(path: Path, report: Reporter = SILENT) -> str:
    """SHA-256 of a file, with progress in bytes."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    with open(path, "rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
            report.progress(f"checking {path.name}", handle.tell(), size)
    return digest.hexdigest()


def known_sha256(path: Path) -> str:
    """SHA-256 of a file, from its record if the file has not been touched since."""
    record = read_record(path)
    return record.sha256 if record is not None and record.describes(path) else sha256_of(path)


def check_content(path: Path, entry: FileEntry, sha256: str) -> None:
    """Compare a file and its digest with what the registry knows: size, digest, structure.

    Raises:
        SAMedError: whose message starts with the path.
    """
    size = path.stat().st_size
    if not entry.size_fits(size):
        raise SAMedError(f"{path} has {size} bytes, and {entry.filename} has {_expected_size(entry)}")
    if entry.sha256:
        if sha256 != entry.sha256:
            raise SAMedError(
                f"{path} is not the published {entry.filename}: its SHA-256 begins {sha256[:12]} instead of "
                f"{entry.sha256[:12]}"
            )
        return
    from SAMedLib.weights.inspection import inspect_weights

    found = inspect_weights(path)
    for what, expected in entry.structure.items():
        actual = getattr(found, what, None)
        if actual != expected:
            raise SAMedError(f"{path} is not {entry.filename}: its {what} is {actual} instead of {expected}")


def _expected_size(entry: FileEntry) -> str:
    return str(entry.bytes) if entry.sha256 else f"{entry.smallest} to {entry.largest}"
