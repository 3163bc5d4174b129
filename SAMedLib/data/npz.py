"""Writing .npz so that the same arrays give the same bytes, whatever the clock says."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

_FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)  # of ZIP; np.savez notes the time, and fails where the clock is before this


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """As np.savez, which np.load reads."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _FIRST_MOMENT)
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
