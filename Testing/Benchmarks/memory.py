"""Peak memory of a process that segments slices: the published algorithm, and ours in each precision.

usage: memory.py [--size vit_b] [--slices 1] [--batch-size N]

Linux only. Each way runs in a process of its own, with random weights; its peak (VmHWM) counts from when its network
is there: for ours, from before the network is prepared.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAYS = ("imports and network", "published", "fp32", "bf16", "int8")


def work(way: str, size: str, slices: int, batch_size: int | None) -> None:
    import torch

    from SAMedLib.benchmarks.made_up import random_network, smooth_slices
    from SAMedLib.benchmarks.plain import PlainSAMed
    from SAMedLib.inference import Segmenter
    from SAMedLib.model import EncoderConfig, SAMedConfig

    torch.set_num_threads(2)
    config = SAMedConfig.tiny() if size == "tiny" else SAMedConfig(encoder=getattr(EncoderConfig, size)())
    model = random_network(config)
    if way == "imports and network":
        return
    images = smooth_slices(1)
    if way == "published":
        network = PlainSAMed(model)
        del model  # it has a copy of all weights
        _forget_peak()
        for _ in range(slices):
            network.segment_slice(images[0])
        return
    model.merge_lora()
    _forget_peak()
    segmenter = Segmenter(model, "cpu", way, batch_size, spare_memory=True)
    segmenter.predict(images.repeat(slices, axis=0))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="vit_b", choices=("vit_b", "vit_l", "vit_h", "tiny"))
    parser.add_argument("--slices", type=int, default=1)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        work(args.way, args.size, args.slices, args.batch_size)
        print(_peak_kib())
        return
    peaks = {}
    for way in WAYS:
        command = [sys.executable, __file__, *sys.argv[1:], "--way", way]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
        peaks[way] = int(done.stdout.split()[-1]) / 2**20
        share = f"{peaks[way] / peaks['published']:6.2f} of the published" if "published" in peaks else ""
        print(f"{way:<20}{peaks[way]:6.2f} GiB {share}", flush=True)


if __name__ == "__main__":
    main()
