"""What a run adds to its base: trained parameters, and the size of the adapter file (the paper's Table 3)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from SAMedLib.evaluation.tables import MISSING, Cell, Table
from SAMedLib.model.build import build_network
from SAMedLib.model.metadata import ModelMetadata
from SAMedLib.model.tensor_files import is_complete, read_tensors
from SAMedLib.training import RunFolder

_MIB = 2**20


@dataclass(frozen=True)
class Sizes:
    """Of one run's model.

    Attributes:
        trained_parameters: numbers that training may change.
        file_bytes: of the file in the published layout (.pth); of ours if it holds the encoder too.
        base_bytes: of the SAM file under it, None if it needs none.
    """

    trained_parameters: int
    file_bytes: int
    base_bytes: int | None

    @property
    def share_of_base(self) -> float | None:
        """The paper's per cent, as a fraction: 18.81M of 358M are its 5.25 %."""
        return None if self.base_bytes is None else self.file_bytes / self.base_bytes


def sizes_of(run: RunFolder) -> Sizes:
    """Measure a finished run."""
    config = run.read_config()
    metadata = ModelMetadata.from_json(config["model"])
    with torch.device("meta"):
        model = build_network(metadata.config)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    base = None if metadata.base is None else Path(config["base_path"])
    base_bytes = base.stat().st_size if base is not None and base.is_file() else None
    return Sizes(trained, published_file_bytes(run.adapter("last")), base_bytes)


def published_file_bytes(adapter: Path) -> int:
    """Bytes of an adapter in the published layout; of the file itself if it is no adapter but a complete model."""
    tensors, _ = read_tensors(adapter)
    if is_complete(tensors):
        return adapter.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        # the archive repeats the file's name before every tensor, so its size depends on it
        path = Path(folder) / "epoch_159.pth"
        torch.save(tensors, path)
        return path.stat().st_size


def sizes_table(sizes: Mapping[str, Sizes]) -> Table:
    """One line per run. M is 2^20 bytes, as in the paper."""
    rows = []
    for name, one in sizes.items():
        base = MISSING if one.base_bytes is None else f"{one.base_bytes / _MIB:.2f}"
        share = MISSING if one.share_of_base is None else f"{100 * one.share_of_base:.2f}"
        numbers = (f"{one.trained_parameters:,}", f"{one.file_bytes:,}", f"{one.file_bytes / _MIB:.2f}", base, share)
        rows.append((Cell(name), *map(Cell, numbers)))
    headings = ("", "trained parameters", "file bytes", "file M", "base M", "file % of base")
    return Table("What is trained and saved (M: 2^20 bytes)", headings, tuple(rows))
