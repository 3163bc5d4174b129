"""Slices kept on disk between two starts of a training, in the same folder as the weights (SAMED_HOME)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from SAMedLib.files import working_folder
from SAMedLib.weights.store import weights_folder

_FORMAT = 1
_ENTRIES_KEPT = 4


@dataclass(frozen=True)
class SliceCache:
    """One entry: a folder with images.npy, labels.npy and cases.json, named after what it was made from."""

    folder: Path

    @classmethod
    def of(cls, files: Iterable[Path], *parameters: object) -> SliceCache:
        """The entry for these files, as they are now (path, size, time of change), read with these parameters."""
        digest = hashlib.sha256(repr((_FORMAT, parameters)).encode())
        for path in files:
            status = path.stat()
            digest.update(f"\n{path.absolute()}|{status.st_size}|{status.st_mtime_ns}".encode())
        return cls(weights_folder() / "slices" / digest.hexdigest()[:32])

    def load(self) -> tuple[np.ndarray, np.ndarray, list[str]] | None:
        """Images, labels and cases, memory-mapped copy-on-write; None if they are not there or not whole."""
        try:
            images, labels = (
                np.load(self.folder / name, mmap_mode="c", allow_pickle=False) for name in ("images.npy", "labels.npy")
            )
            cases = json.loads((self.folder / "cases.json").read_text(encoding="utf-8"))
            os.utime(self.folder)
        except (OSError, ValueError):
            return None
        return (images, labels, cases) if len(images) == len(labels) == len(cases) else None

    def save(self, images: np.ndarray, labels: np.ndarray, cases: list[str]) -> str | None:
        """Keep these; entries that were not used for longest make room. Returns what prevented it, if anything did."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder.parent).free
            if free < 2 * (images.nbytes + labels.nbytes):
                return f"{self.folder.parent} has only {free / 1e9:.1f} GB of space left"
            with working_folder(self.folder.parent) as temporary:
                part = temporary / "entry"
                part.mkdir()
                np.save(part / "images.npy", images, allow_pickle=False)
                np.save(part / "labels.npy", labels, allow_pickle=False)
                (part / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
                shutil.rmtree(self.folder, ignore_errors=True)
                part.replace(self.folder)
            self._make_room()
        except OSError as error:
            return str(error)
        return None

    def _make_room(self) -> None:
        entries = [path for path in self.folder.parent.iterdir() if not path.name.startswith(".")]
        for path in sorted(entries, key=lambda entry: entry.stat().st_mtime)[:-_ENTRIES_KEPT]:
            shutil.rmtree(path, ignore_errors=True)
