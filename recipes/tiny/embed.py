"""Put a finished run's best model, or the mean of several models' weights, into the package as the embedded default.

usage: embed.py RUN_OR_FILE... [-o FILE]    in half precision; what the file says of itself is what the last one says

Of runs of which one began with the other, the mean can be better than both; docs/tiny.md says what it was here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from SAMedLib.model import load_model

EMBEDDED = Path(__file__).resolve().parents[2] / "SAMedLib" / "weights" / "tiny.safetensors"


def embed(runs: list[Path], output: Path = EMBEDDED) -> None:
    models = [load_model(run, for_training=True) for run in runs]
    model = models[-1]
    with torch.no_grad():
        for values in zip(*(one.state_dict().values() for one in models), strict=True):
            if values[-1].is_floating_point():
                values[-1].copy_(torch.stack(values).mean(dim=0))
    provenance = model.metadata.provenance
    if len(runs) > 1:
        provenance = {**provenance, "mean_of": ["/".join(run.parts[-2:]) for run in runs]}
    model.metadata = model.metadata.replace(demonstration=True, provenance=provenance)
    model.save_adapter(output, dtype=torch.float16)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("runs", nargs="+", type=Path, metavar="RUN_OR_FILE")
    options.add_argument("-o", "--output", type=Path, default=EMBEDDED, metavar="FILE", help="elsewhere")
    args = options.parse_args()
    embed(args.runs, args.output)
