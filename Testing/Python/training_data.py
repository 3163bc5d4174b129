"""Small datasets and a small network for tests of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from SAMedLib.data.folders import write_case
from SAMedLib.imaging.volume import Geometry, Volume
from SAMedLib.organs import LabelSet

SHAPES = LabelSet.from_names("shapes", ["disc", "square", "bar"])
SIZE, SLICES = 64, 6
NETWORK = {
    "encoder": {"embed_dim": 32, "depth": 2, "num_heads": 2, "global_attn_indexes": [1], "window_size": 4},
    "decoder": {"embed_dim": 32, "num_heads": 2, "mlp_dim": 64, "iou_hidden_dim": 32, "mask_in_chans": 4},
    "unet": {"channels": [8, 8, 16, 16, 16]},
    "attention-unet": {"channels": [8, 8, 16, 16, 16]},
    "swin-unetr": {"feature_size": 12, "depths": [2, 1, 1, 1], "num_heads": [2, 2, 4, 4], "window_size": 4},
    "unetr": {"feature_size": 4, "hidden_size": 32, "mlp_dim": 64, "num_heads": 2},
}


def write_shapes(folder: Path, cases: int = 4, labels: LabelSet = SHAPES) -> Path:
    """A dataset folder of noisy volumes with a bright disc, a grey square and a bar in each slice."""
    for case in range(cases):
        rng = np.random.default_rng(case)
        hu = np.full((SLICES, SIZE, SIZE), -60.0)
        truth = np.zeros(hu.shape, np.uint8)
        rows, columns = np.mgrid[:SIZE, :SIZE]
        for k in range(SLICES):
            y, x = rng.integers(14, 22, 2)
            _paint(hu[k], truth[k], (rows - y) ** 2 + (columns - x) ** 2 < 100, 200, 1)
            y, x = rng.integers(36, 42, 2)
            _paint(hu[k], truth[k], (abs(rows - y - 8) < 8) & (abs(columns - x - 8) < 8), 60, 2)
            y = rng.integers(40, 50)
            _paint(hu[k], truth[k], (abs(rows - y - 4) < 4) & (abs(columns - 16) < 13), 130, 3)
        hu += rng.normal(0, 10, hu.shape)
        geometry = Geometry((SIZE, SIZE, SLICES), (1.0, 1.0, 3.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
        kept = np.where(truth <= len(labels.labels), truth, 0).astype(np.uint8)
        write_case(folder, f"case{case}", Volume(hu.astype(np.int16), geometry, f"case{case}"), kept, labels)
    return folder


def write_network(path: Path) -> Path:
    path.write_text(json.dumps(NETWORK))
    return path


def _paint(hu: np.ndarray, truth: np.ndarray, where: np.ndarray, value: float, label: int) -> None:
    hu[where], truth[where] = value, label
