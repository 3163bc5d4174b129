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
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from SAMedLib.evaluation.measure import measure_labels

ORGANS = 8
# centre and radii of the organs, as shares of the volume along z, y, x
ELLIPSOIDS = (
    (0.55, 0.60, 0.72, 0.22, 0.10, 0.09),
    (0.45, 0.62, 0.38, 0.20, 0.07, 0.06),
    (0.45, 0.62, 0.64, 0.20, 0.07, 0.06),
    (0.50, 0.42, 0.38, 0.08, 0.04, 0.03),
    (0.60, 0.50, 0.32, 0.30, 0.20, 0.17),
    (0.60, 0.42, 0.62, 0.22, 0.10, 0.10),
    (0.50, 0.58, 0.50, 0.50, 0.025, 0.025),
    (0.50, 0.50, 0.52, 0.10, 0.04, 0.13),
)


def volume(shape: tuple[int, int, int], seed: int, speckle: float) -> np.ndarray:
    """uint8 [Z, Y, X]: eight bumpy ellipsoids where the organs are, of their sizes; a share of voxels random."""
    generator = np.random.default_rng(seed)
    coarse = generator.normal(scale=0.25, size=(8, 12, 12))
    bumps = ndimage.zoom(coarse, [n / m for n, m in zip(shape, coarse.shape, strict=True)], order=1)
    z, y, x = np.ogrid[0 : 1 : shape[0] * 1j, 0 : 1 : shape[1] * 1j, 0 : 1 : shape[2] * 1j]
    labels = np.zeros(shape, np.uint8)
    for value, (cz, cy, cx, rz, ry, rx) in enumerate(ELLIPSOIDS, 1):
        inside = ((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 + bumps < 1
        labels[inside & (labels == 0)] = value
    if speckle:
        noisy = generator.random(shape) < speckle
        labels[noisy] = generator.integers(0, ORGANS + 1, int(noisy.sum()))
    return labels


def ours(prediction: np.ndarray, reference: np.ndarray, threads: int | None) -> list[tuple[float, float | None]]:
    return [(one.dice, one.hd95) for one in measure_labels(prediction, reference, ORGANS, threads=threads)]


def with_medpy(prediction: np.ndarray, reference: np.ndarray) -> list[tuple[float, float]]:
    from medpy.metric.binary import dc, hd95

    pairs = ((prediction == value, reference == value) for value in range(1, ORGANS + 1))
    return [(float(dc(p, r)), float(hd95(p, r))) for p, r in pairs]


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
        with_medpy(prediction, reference)
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
    prediction, reference = volume(shape, 0, args.speckle), volume(shape, 1, args.speckle)
    times: list[tuple[float, float]] = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        fast = ours(prediction, reference, args.threads)
        middle = time.perf_counter()
        slow = with_medpy(prediction, reference)
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
