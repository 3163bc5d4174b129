"""Raw BTCV abdomen data (Synapse syn3193805) to the slices and volumes that SAMed is trained and tested on.

As published: HU clipped to [-125, 275] and scaled to [0, 1], the file's own axes as [Z,Y,X] with the affine ignored,
8 of 13 organs, 18 training and 12 test cases. Unlike the published script, both halves are made, and images and labels
are paired by their number.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from SAMedLib.data.npz import write_npz
from SAMedLib.data.prepared import LIST_FOLDER, TEST_FOLDER, TRAIN_FOLDER, WINDOW, list_test_cases, read_test_case
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.files import naming_a_full_disk, working_folder, write_then_rename
from SAMedLib.imaging.resample import zoom_cubic, zoom_nearest
from SAMedLib.imaging.volume import read_labels, read_volume, window

__all__ = ["TEST_CASES", "TRAIN_CASES", "Summary", "list_test_cases", "prepare_synapse", "read_test_case"]

TEST_CASES = (1, 2, 3, 4, 8, 22, 25, 29, 32, 35, 36, 38)
TRAIN_CASES = (5, 6, 7, 9, 10, 21, 23, 24, 26, 27, 28, 30, 31, 33, 34, 37, 39, 40)
# BTCV's 13 organs to the paper's 8: oesophagus, cava, portal and splenic veins and adrenals become background
_TO_SYNAPSE = np.array([0, 1, 2, 3, 4, 0, 5, 6, 7, 0, 0, 8, 0, 0], np.uint8)
_STAGE = "preparing"
_RECORD = "prepared.json"
_LARGEST_SLICE = 4096
_SOURCE = (
    'get Abdomen/RawData.zip of "Multi-Atlas Labeling Beyond the Cranial Vault" from https://www.synapse.org/ '
    "(syn3193805, free registration) and unpack it"
)


@dataclass(frozen=True)
class Summary:
    """What a prepared folder holds: the names of its cases, and how many training slices."""

    train: list[str]
    test: list[str]
    slices: int


@dataclass(frozen=True)
class _Case:
    number: int
    image: Path
    labels: Path

    @property
    def name(self) -> str:
        return f"case{self.number:04d}"

    def made_from(self, slice_size: int) -> list:
        """What decides about the result: the inputs as they are now, and the size of the slices."""
        status = [entry for path in (self.image, self.labels) for entry in (path.stat().st_size, path.stat().st_mtime)]
        return [*status, slice_size if self.number in TRAIN_CASES else 0]


def prepare_synapse(raw: Path | str, output: Path | str, report: Reporter = SILENT, slice_size: int = 224) -> Summary:
    """Write train_npz, test_vol_h5 and lists/lists_Synapse of `raw` into `output`.

    A case that is finished is not made again. Cases that are missing from `raw` get a note.

    Args:
        raw: a folder in which, at any depth, img0001.nii.gz and label0001.nii.gz and so on lie.
        slice_size: training slices are zoomed to this side, images with cubic splines, labels with order 0; 0 keeps
            them as they are.

    Raises:
        SAMedError: if there are no cases, one lacks its labels, or one is damaged.
        Cancelled: if the user asked to stop; a case appears whole or not at all.
    """
    raw, output = Path(raw), Path(output)
    if not 0 <= slice_size <= _LARGEST_SLICE:
        raise SAMedError(
            f"The slice size is {slice_size}; give 1 to {_LARGEST_SLICE} pixels, or 0 to keep the slices' own size."
        )
    cases = _find_cases(raw, report)
    record = _read_record(output)
    for done, case in enumerate(cases):
        report.progress(_STAGE, done, len(cases), case.name)
        made_from = case.made_from(slice_size)
        if _is_finished(output, record.get(case.name), made_from):
            continue
        files = _prepare_case(case, output, slice_size, report)
        record[case.name] = {"made_from": made_from, "files": files}
        _write_text(output / _RECORD, json.dumps(record, indent=1))
    report.progress(_STAGE, len(cases), len(cases))
    return _write_lists(output, {case.name: record[case.name]["files"] for case in cases})


def _find_cases(raw: Path, report: Reporter) -> list[_Case]:
    if not raw.is_dir():
        raise SAMedError(f"{raw} is not a folder; {_SOURCE}.")
    images, labels = (_by_number(raw, kind) for kind in ("img", "label"))
    known = sorted((*TRAIN_CASES, *TEST_CASES))
    numbers = [number for number in known if number in images or number in labels]
    if not numbers:
        if next(raw.rglob("DET0*_avg*.nii*"), None):
            raise SAMedError(
                f"{raw} holds the averaged images (DET..._avg), whose numbers are not those of the paper's split; "
                f"{_SOURCE}."
            )
        raise SAMedError(f"{raw} holds no BTCV scans (img/img0001.nii.gz, label/label0001.nii.gz, ...); {_SOURCE}.")
    for number in numbers:
        for kind, found in (("img", images), ("label", labels)):
            if number not in found:
                raise SAMedError(f"{raw} is incomplete: {kind}{number:04d}.nii.gz is missing; {_SOURCE}.")
    if missing := [f"{number:04d}" for number in known if number not in numbers]:
        report.note(f"{raw} lacks {len(missing)} of the 30 cases ({missing[0]} to {missing[-1]}); {_SOURCE}.")
    if others := [f"{number:04d}" for number in images if number in labels and number not in known]:
        report.note(f"Cases {', '.join(others)} are in neither the paper's training nor its test set; left out.")
    return [_Case(number, images[number], labels[number]) for number in numbers]


def _by_number(raw: Path, kind: str) -> dict[int, Path]:
    pattern = re.compile(rf"{kind}(\d{{4}})\.nii(\.gz)?", re.IGNORECASE)
    found: dict[int, Path] = {}
    for path in sorted(raw.rglob(f"{kind}*.nii*")):
        if not (match := pattern.fullmatch(path.name)):
            continue
        number = int(match[1])
        if number in found:
            raise SAMedError(f"{raw} holds {path.name} twice ({found[number].parent} and {path.parent}); keep one.")
        found[number] = path
    return found


def _prepare_case(case: _Case, output: Path, slice_size: int, report: Reporter) -> list[str]:
    """Write one case; returns its files relative to `output`."""
    image, labels = _read_case(case)
    output.mkdir(parents=True, exist_ok=True)
    with working_folder(output) as temporary, naming_a_full_disk(output / TRAIN_FOLDER):
        if case.number in TRAIN_CASES:
            folder, names = TRAIN_FOLDER, _write_slices(temporary, case, image, labels, slice_size, report)
        else:
            folder, names = TEST_FOLDER, _write_volume(temporary, case, image, labels)
        (output / folder).mkdir(exist_ok=True)
        for name in names:
            os.replace(temporary / name, output / folder / name)
    return [f"{folder}/{name}" for name in names]


def _read_case(case: _Case) -> tuple[np.ndarray, np.ndarray]:
    """float32 [Z,Y,X] in [0,1] and the paper's labels, uint8."""
    image, labels = read_volume(case.image).array, read_labels(case.labels).array
    if image.shape != labels.shape:
        raise SAMedError(
            f"{case.image} and {case.labels} differ in size ({image.shape} and {labels.shape}); get fresh copies."
        )
    if labels.max() >= len(_TO_SYNAPSE):
        raise SAMedError(f"{case.labels} holds the value {labels.max()}; BTCV's labels run from 0 to 13.")
    return window(image, *WINDOW), _TO_SYNAPSE[labels]


def _write_slices(
    folder: Path, case: _Case, image: np.ndarray, labels: np.ndarray, slice_size: int, report: Reporter
) -> list[str]:
    size = (slice_size, slice_size) if slice_size else image.shape[1:]
    names = []
    for start in range(0, len(image), 16):
        report.check_cancelled()
        rows = slice(start, start + 16)
        images = zoom_cubic(torch.from_numpy(image[rows]), size).numpy()
        masks = zoom_nearest(torch.from_numpy(labels[rows]), size).numpy().astype(np.float32)
        for number, (one, mask) in enumerate(zip(images, masks, strict=True), start):
            names.append(f"{case.name}_slice{number:03d}.npz")
            write_npz(folder / names[-1], image=one, label=mask)
    return names


def _write_volume(folder: Path, case: _Case, image: np.ndarray, labels: np.ndarray) -> list[str]:
    import h5py

    name = f"{case.name}.npy.h5"
    with h5py.File(folder / name, "w") as data:
        data.create_dataset("image", data=image)
        data.create_dataset("label", data=labels.astype(np.float32), compression="gzip", compression_opts=1)
    return [name]


def _read_record(output: Path) -> dict[str, dict]:
    """Which cases are finished; a record that cannot be read counts as none."""
    try:
        record = json.loads((output / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _is_finished(output: Path, entry: object, made_from: list) -> bool:
    if not isinstance(entry, dict) or entry.get("made_from") != made_from or not entry.get("files"):
        return False
    return all((output / name).is_file() for name in entry["files"])


def _write_lists(output: Path, files: dict[str, list[str]]) -> Summary:
    folder = output / LIST_FOLDER
    train = {name: paths for name, paths in files.items() if paths[0].startswith(TRAIN_FOLDER)}
    test = [name for name in files if name not in train]
    slices = [Path(path).stem for paths in train.values() for path in paths]
    _write_text(folder / "train.txt", "".join(f"{name}\n" for name in slices))
    _write_text(folder / "test_vol.txt", "".join(f"{name}\n" for name in test))
    _write_text(folder / "all.lst", "".join(f"{name}.npy.h5\n" for name in files))
    return Summary(list(train), test, len(slices))


def _write_text(path: Path, text: str) -> None:
    with write_then_rename(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
