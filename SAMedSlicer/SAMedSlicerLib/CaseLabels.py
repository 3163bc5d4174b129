"""Which labels a case has, read once per file."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.files import write_then_rename

_FILE_NAME = ".samed-labels.json"


class CaseLabels:
    """Remembers which values each label file of a dataset holds.

    Reading a label file of a large scan takes a good part of a second, so what was read is kept beside the files,
    where that is possible; a file that changed is read again.
    """

    def __init__(self, folder: Path) -> None:
        self._file = Path(folder) / _FILE_NAME
        self._known: dict[str, dict] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._known = dict(json.loads(self._file.read_text(encoding="utf-8")).items())

    def known(self, labels: Path) -> list[int] | None:
        """The values in a label file, None if it has to be read first."""
        entry = self._known.get(labels.name)
        if not isinstance(entry, dict) or entry.get("stamp") != _stamp(labels):
            return None
        return [int(value) for value in entry["values"]]

    def read(self, labels: Path) -> list[int]:
        """The values in a label file but 0; none if it cannot be read (training will say why)."""
        import numpy as np

        from SAMedLib.imaging.volume import label_counts, read_labels

        try:
            values = [int(value) for value in np.flatnonzero(label_counts(read_labels(labels).array)) if value]
        except (SAMedError, OSError):
            values = []
        self._known[labels.name] = {"stamp": _stamp(labels), "values": values}
        # a folder that cannot be written into is read every time
        with contextlib.suppress(OSError, SAMedError), write_then_rename(self._file) as temporary:
            temporary.write_text(json.dumps(self._known), encoding="utf-8")
        return values


def _stamp(path: Path) -> list[int]:
    try:
        about = path.stat()
    except OSError:
        return []
    return [about.st_size, about.st_mtime_ns]
