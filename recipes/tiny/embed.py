"""Put a finished run's best model into the package as the embedded default, in half precision.

usage: embed.py RUN_FOLDER [OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from SAMedLib.model import load_model

EMBEDDED = Path(__file__).resolve().parents[2] / "SAMedLib" / "weights" / "tiny.safetensors"


def embed(run: Path, output: Path = EMBEDDED) -> None:
    model = load_model(run, for_training=True)
    model.metadata = model.metadata.replace(demonstration=True)
    model.save_adapter(output, dtype=torch.float16)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    embed(*(Path(argument) for argument in sys.argv[1:]))
