"""Dice and HD95 of all organs: SAMedLib in one pass against medpy, organ by organ on the whole volume.

Runs alternate (ours, medpy, ours, medpy, ...); the ratio is the median over rounds of medpy's time over ours, and the
numbers of both are compared. Ours computes HD100, ASSD and NSD as well in its time. Peak memory is that of a fresh
process each, including the two volumes.

    python Testing/Benchmarks/metrics.py           a volume of 256x256x74: half a minute
    python Testing/Benchmarks/metrics.py --full    512x512x148, as the published test set has: minutes
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from SAMedLib.benchmarks.made_up import ORGANS, organ_labels
from SAMedLib.benchmarks.plain import evaluated
from SAMedLib.evaluation.measure import measure_labels


def ours(prediction: np.ndarray, reference: np.ndarray, threads: int | None) -> list[tuple[float, float | None]]:
    return [(one.dice, one.hd95) for one in measure_labels(prediction, reference, ORGANS, threads=threads)]


def peak_memory(volumes: Path, engine: str) -> float:
    """GiB of a fresh process that reads the volumes and measures them once ("none": reads them only)."""
    command = [sys.executable, __file__, "--volumes", str(volumes), "--only", engine]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_once(volumes: Path, engine: str, threads: int | None) -> None:
    """What `peak_memory` runs: prints the peak resident set of this process in GiB (Linux)."""
    prediction, reference = np.load(volumes)
    if engine == "ours":
        ours(prediction, reference, threads)
    elif engine == "medpy":
        evaluated(prediction, reference, ORGANS)
    # not getrusage: its maximum starts at the parent's size
    status = Path("/proc/self/status").read_text()
    print(int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="512x512x148")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--speckle", type=float, default=0.0, help="share of voxels with random labels (worst case)")
    parser.add_argument("--threads", type=int, default=None, help="ours; all processors by default")
    parser.add_argument("--only", choices=("none", "ours", "medpy"), help=argparse.SUPPRESS)
    parser.add_argument("--volumes", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        measure_once(args.volumes, args.only, args.threads)
        return
    shape = (148, 512, 512) if args.full else (74, 256, 256)
    prediction, reference = organ_labels(shape, 0, args.speckle), organ_labels(shape, 1, args.speckle)
    times: list[tuple[float, float]] = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        fast = ours(prediction, reference, args.threads)
        middle = time.perf_counter()
        slow = evaluated(prediction, reference, ORGANS)
        times.append((middle - start, time.perf_counter() - middle))
        difference = float(np.abs(np.subtract(fast, slow)).max())
        print(f"ours {times[-1][0]:.3f} s, medpy {times[-1][1]:.1f} s, largest difference {difference:.1e}", flush=True)
        assert difference <= 1e-9
    ratio = statistics.median(theirs / mine for mine, theirs in times)
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"{shape[2]}x{shape[1]}x{shape[0]}, {ORGANS} organs: ours {mine:.3f} s, medpy {theirs:.1f} s: {ratio:.0f}x")
    with tempfile.TemporaryDirectory() as folder:
        volumes = Path(folder) / "volumes.npy"
        np.save(volumes, np.stack([prediction, reference]))
        memory = {engine: peak_memory(volumes, engine) for engine in ("none", "ours", "medpy")}
    print(
        f"peak memory: ours {memory['ours']:.2f} GiB, medpy {memory['medpy']:.2f} GiB "
        f"(reading the volumes alone {memory['none']:.2f} GiB)"
    )


if __name__ == "__main__":
    main()
