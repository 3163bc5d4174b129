"""Every slice of a dataset in memory, at the size at which training augments it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from SAMedLib.data.folders import DatasetFolder
from SAMedLib.data.in_flight import results_of
from SAMedLib.data.prepared import PreparedSlices, holds_prepared_slices
from SAMedLib.data.slice_cache import SliceCache
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.host_memory import available_bytes
from SAMedLib.imaging.orientation import reorient
from SAMedLib.imaging.resample import zoom_cubic, zoom_nearest
from SAMedLib.imaging.volume import window as to_window
from SAMedLib.organs import LabelSet

_STAGE = "loading slices"
# a load that took longer is worth keeping on disk
_SLOW_SECONDS = 5.0


@dataclass(frozen=True)
class SliceSet:
    """Slices in memory, or in a memory-mapped file that can be written without changing the file.

    Attributes:
        images: float32 [N,S,S], windowed to [0, 1]; cubic zooming may overshoot that a little.
        labels: uint8 [N,S,S], values of `label_set`.
        cases: for each slice, the name of its case.
        label_set: what the labels mean.
    """

    images: np.ndarray
    labels: np.ndarray
    cases: list[str]
    label_set: LabelSet

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def case_names(self) -> list[str]:
        """Every case once, in the order of the slices."""
        return list(dict.fromkeys(self.cases))

    def split(self, cases: list[str]) -> tuple[SliceSet, SliceSet]:
        """The slices of the other cases, and those of these cases, each in this set's order.

        Both are views: this set is reordered for that, because two copies of a large set do not fit into memory.

        Raises:
            SAMedError: if one of the cases is not here.
        """
        if unknown := sorted(set(cases) - set(self.cases)):
            raise SAMedError(f"There is no case {unknown[0]!r}; the data hold {', '.join(self.case_names)}.")
        chosen = np.isin(self.cases, cases)
        for array in (self.images, self.labels):
            _move_to_end(array, chosen)
        rest = len(chosen) - np.count_nonzero(chosen)
        self.cases[:] = [*np.array(self.cases)[~chosen].tolist(), *np.array(self.cases)[chosen].tolist()]
        first, last = slice(0, rest), slice(rest, None)
        return tuple(
            SliceSet(self.images[rows], self.labels[rows], self.cases[rows], self.label_set) for rows in (first, last)
        )


@dataclass(frozen=True)
class _Source:
    """A dataset on disk: where its files are, and how to read one case's slices."""

    label_set: LabelSet
    files: dict[str, list[Path]]  # by case
    read: Callable[[str], tuple[np.ndarray, np.ndarray]]  # case -> float32 [n,H,W], uint8 [n,H,W]


def load_slices(
    folder: Path | str,
    slice_size: int,
    window: tuple[float, float],
    orientation: str,
    report: Reporter = SILENT,
    *,
    cache: bool = True,
) -> SliceSet:
    """Read all slices of a dataset, brought to slice_size x slice_size.

    Prepared Synapse slices (`train_npz/`) that have this size already are taken as they are; others, and the slices of
    an nnU-Net or Decathlon folder after turning and windowing, are zoomed with cubic splines, labels with order 0, as
    published. Slices without any organ are kept, as published.

    Args:
        folder: a dataset folder of either kind.
        window: low and high in HU; prepared slices have the published one.
        orientation: the model's, e.g. "LAS"; prepared slices are taken to be LAS.
        cache: keep what was slow to read in the SAMED_HOME cache folder, so that the next start takes seconds.

    Raises:
        SAMedError: if the folder is neither kind, or a file in it is damaged, missing or inconsistent.
        Cancelled: if the user asked to stop.
    """
    folder = Path(folder)
    source = _find_source(folder, window, orientation)
    kept = SliceCache.of([path for files in source.files.values() for path in files], slice_size, window, orientation)
    if cache and (found := kept.load()):
        report.progress(_STAGE, 1, 1, "from the cache")
        return SliceSet(*found, source.label_set)
    start = monotonic()
    images, labels, cases = _read_all(source, slice_size, report)
    if cache and monotonic() - start > _SLOW_SECONDS and (problem := kept.save(images, labels, cases)):
        report.note(f"The slices could not be kept for the next start: {problem}.")
    return SliceSet(images, labels, cases, source.label_set)


def _find_source(folder: Path, window: tuple[float, float], orientation: str) -> _Source:
    if not folder.is_dir():
        raise SAMedError(f"{folder} is not a folder; give a dataset folder.")
    if holds_prepared_slices(folder):
        prepared = PreparedSlices.open(folder, window, orientation)
        return _Source(prepared.label_set, prepared.files, prepared.read)
    if (folder / "dataset.json").exists():
        dataset = DatasetFolder.open(folder)

        def read(name: str) -> tuple[np.ndarray, np.ndarray]:
            volume, labels = dataset.read(name)
            image, labels = (reorient(a, volume.geometry.direction, orientation) for a in (volume.array, labels))
            return to_window(image, *window), labels

        files = {name: [files.image, files.labels] for name, files in dataset.cases.items()}
        return _Source(dataset.label_set, files, read)
    raise SAMedError(
        f"{folder} is not a dataset: it holds neither train_npz (prepared Synapse) nor dataset.json with imagesTr and "
        "labelsTr (nnU-Net layout); make one with `samed prepare`."
    )


def _read_all(source: _Source, size: int, report: Reporter) -> tuple[np.ndarray, np.ndarray, list[str]]:
    names = list(source.files)
    if not names:
        raise SAMedError("The dataset holds no case; add some first.")

    def read(name: str) -> tuple[np.ndarray, np.ndarray]:
        return _resize(*source.read(name), size)

    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    report.progress(_STAGE, 0, len(names))
    free = available_bytes()
    workers = min(4, os.cpu_count() or 1)
    for name, part in results_of(ThreadPoolExecutor(workers), read, names, 2 * workers, report):
        parts[name] = part
        _check_memory(list(parts.values()), len(names), free)
        report.progress(_STAGE, len(parts), len(names), name)
    counts = [len(parts[name][0]) for name in names]
    images = np.empty((sum(counts), size, size), np.float32)
    labels = np.empty(images.shape, np.uint8)
    row = 0
    for name, count in zip(names, counts, strict=True):
        images[row : row + count], labels[row : row + count] = parts.pop(name)
        row += count
    return images, labels, [name for name, count in zip(names, counts, strict=True) for _ in range(count)]


def _check_memory(parts: list[tuple[np.ndarray, np.ndarray]], cases: int, free: int | None) -> None:
    """Refuse early what cannot end well: where memory runs out, the system kills without a word."""
    mean = sum(images.nbytes + labels.nbytes for images, labels in parts) / len(parts)
    if free is not None and cases * mean > free:
        raise SAMedError(
            f"The slices of the {cases} cases would take about {cases * mean / 1e9:.1f} GB of memory, of which "
            f"{free / 1e9:.1f} GB are free; take fewer cases, or smaller slices with --slice-size."
        )


def _move_to_end(array: np.ndarray, chosen: np.ndarray) -> None:
    """Stable, in place along the first axis; only what is chosen is held twice for a moment."""
    moved = array[chosen]
    place = 0
    for row in np.flatnonzero(~chosen):
        if row != place:
            array[place] = array[row]
        place += 1
    array[place:] = moved


def _resize(images: np.ndarray, labels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    if images.shape[1:] == (size, size):
        return images, labels
    resized = np.empty((len(images), size, size), np.float32)
    for start in range(0, len(images), 16):
        rows = slice(start, start + 16)
        batch = torch.from_numpy(np.ascontiguousarray(images[rows], np.float32))
        resized[rows] = zoom_cubic(batch, (size, size)).numpy()
    return resized, zoom_nearest(torch.from_numpy(np.ascontiguousarray(labels)), (size, size)).numpy()
