"""Which scans a folder holds, and which of them this process takes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.dicom import holds_dicom
from SAMedLib.imaging.volume import IMAGE_EXTENSIONS, SEGMENTATION_EXTENSION, case_name
from SAMedLib.ranks import rank, world_size

# .seg.nrrd is never a CT, .img belongs to an .hdr, and DICOM slices make a case as a folder
_NOT_CASES = (SEGMENTATION_EXTENSION, ".img", ".img.gz", ".dcm", ".ima")

T = TypeVar("T")


@dataclass(frozen=True)
class Case:
    """A scan: an image file or a DICOM folder, and the name that its results get."""

    path: Path
    name: str


def find_cases(source: Path) -> list[Case]:
    """The scans in `source`, by name.

    A file, or a folder in which DICOM slices lie, is one case. In another folder every image file is one, and every
    folder below it that holds DICOM slices, named by its path from there.

    Raises:
        SAMedError: if there is none, or if two would have the same name.
    """
    if not source.exists():
        raise SAMedError(f"{source} does not exist; check the path.")
    if not (source.is_file() or source.is_dir()):
        raise SAMedError(f"{source} is neither a file nor a folder; give a CT.")
    if source.is_file() or holds_dicom(source):
        return [Case(source, case_name(source))]
    cases = [Case(path, case_name(path)) for path in sorted(source.iterdir()) if _is_image(path)]
    for folder, subfolders, _ in os.walk(source):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        path = Path(folder)
        if path != source and holds_dicom(path):
            cases.append(Case(path, "_".join(path.relative_to(source).parts)))
    if not cases:
        raise SAMedError(f"{source} holds no CT; give image files, or folders of DICOM slices.")
    cases.sort(key=lambda case: case.name)
    for case, following in itertools.pairwise(cases):
        if case.name == following.name:
            raise SAMedError(f"{case.path} and {following.path} would have the same result file; rename one of them.")
    return cases


def share(items: Sequence[T]) -> list[T]:
    """The part of the items that falls to this process under torchrun (RANK, WORLD_SIZE); all of them without it."""
    return list(items[rank() :: world_size()])


def _is_image(path: Path) -> bool:
    name = path.name.lower()
    return (
        path.is_file()
        and not name.startswith(".")
        and name.endswith(IMAGE_EXTENSIONS)
        and not name.endswith(_NOT_CASES)
    )
