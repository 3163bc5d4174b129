"""What it costs to start, to go from one scan to many, from few slices to many, and from one process to two.

    python Testing/Benchmarks/scale.py                     # small, minutes
    python Testing/Benchmarks/scale.py --full              # the sizes of the goals, an hour on two cores
    python Testing/Benchmarks/scale.py --only start,data

Every figure is of a fresh process. "cpu" is its processor time, user and system together, which a loaded machine does
not stretch as it does the clock; "clock" is what a person waits. Everything runs with one thread for each process, but
for "processes", where one process, and two together, may use all processors.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

SEGMENT = ("-m", "SAMedLib.segment")
TWO_PROCESSES = ("-m", "torch.distributed.run", "--nproc-per-node", "2", *SEGMENT)

MAKE_VIT_B = """
import sys, torch
from SAMedLib.model import EncoderConfig, SAMed, SAMedConfig
base, adapter = sys.argv[1:]
encoder = EncoderConfig.vit_b()
sam = SAMed(SAMedConfig(encoder=encoder, image_size=1024, num_classes=4, lora_targets=()))
torch.save({name: tensor.clone() for name, tensor in sam.state_dict().items()}, base)
model = SAMed(SAMedConfig(encoder=encoder))
model.load_base(base)
model.save_adapter(adapter)
"""
LOAD_MODEL = """
import json, sys, time, torch, SAMedLib.inference
from SAMedLib.model import load_model
start = time.process_time()
load_model(sys.argv[1], base=sys.argv[2])
print(json.dumps(time.process_time() - start))
"""
FIRST_BATCH = """
import dataclasses, json, sys, time
from SAMedLib.training.options import TrainingOptions
from SAMedLib.training.preparation import describe, prepare
clock, cpu = time.perf_counter(), time.process_time()
prepared = prepare(TrainingOptions(data=sys.argv[1], start="tiny", val_cases="0", batch_size=12))
describe(prepared.training)
prepared.batches.parts(0, 1)
result = {"clock": time.perf_counter() - clock, "cpu": time.process_time() - cpu}
trainer = prepared.trainer()
fetching = stepping = 0.0
for step in range(6):
    start = time.process_time()
    parts = prepared.batches.parts(step, 1)
    middle = time.process_time()
    trainer.take_step(parts)
    if step:  # the first one of a size is slow
        fetching, stepping = fetching + middle - start, stepping + time.process_time() - middle
print(json.dumps({**result, "stall": fetching / (fetching + stepping)}))
"""


class Usage(NamedTuple):
    clock: float  # seconds
    cpu: float  # seconds, children included
    peak: float  # MiB; of the largest of its processes
    output: str


def run(*arguments: object, home: Path | None = None, one_thread: bool = True) -> Usage:
    """Run Python with these arguments."""
    environment = {**os.environ, **({"SAMED_HOME": str(home)} if home else {})}
    if one_thread:
        environment["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], stdout=output, stderr=subprocess.DEVNULL, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        clock = time.perf_counter() - start
        if status:
            raise SystemExit(f"{' '.join(map(str, arguments))} ended with the status {status}.")
        output.seek(0)
        return Usage(clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output.read())


def write_scan(path: Path, slices: int, side: int) -> None:
    """Soft tissue in air, with noise."""
    rng = np.random.default_rng(0)
    body = np.full((side, side), -1000, np.int16)
    edge = side // 8
    body[edge:-edge, edge:-edge] = 40
    noise = rng.normal(0, 15, (8, side, side)).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(body + noise[np.arange(slices) % 8]), str(path))


def write_cohort(folder: Path, count: int, slices: int = 8, side: int = 128) -> Path:
    write_scan(folder / "scan000.mha", slices, side)
    for number in range(1, count):
        os.link(folder / "scan000.mha", folder / f"scan{number:03}.mha")
    return folder


def measure_start(folder: Path, full: bool) -> None:
    nothing, package = (min(run("-c", code).cpu for _ in range(5)) for code in ("pass", "import SAMedLib"))
    print(f"import SAMedLib: {1000 * (package - nothing):.0f} ms cpu (goal 50)")
    torch = run("-c", "import torch")
    print(f"import torch: {torch.cpu:.2f} s cpu, which is in all that follows")
    write_scan(folder / "slice.mha", 1, 512)
    base, adapter = folder / "base.pth", folder / "adapter.pth"
    run("-c", MAKE_VIT_B, base, adapter)
    models = {"tiny": (), "ViT-B": ("--model", adapter, "--base", base)}
    for name, choice in models.items():
        one = run(*SEGMENT, folder / "slice.mha", "-o", folder / f"{name}.mha", *choice)
        print(
            f"samed segment, one slice, {name}: {one.cpu:.2f} s cpu, {one.cpu - torch.cpu:.2f} s beyond torch; "
            f"{one.clock:.2f} s clock; peak {one.peak:.0f} MiB"
        )
    reading = run("-c", f"open({str(base)!r}, 'rb').read()").cpu - nothing
    loading = json.loads(run("-c", LOAD_MODEL, adapter, base).output)
    print(f"load_model of ViT-B: {loading:.2f} s cpu; reading its base alone: {reading:.2f} s")


def measure_cohort(folder: Path, full: bool) -> None:
    counts = (1, 20, 200) if full else (1, 5, 15)
    used = []
    for count in counts:
        used.append(run(*SEGMENT, write_cohort(folder / str(count), count), "-o", folder / f"r{count}"))
        print(f"{count:4} scans: {used[-1].cpu:7.2f} s cpu, peak {used[-1].peak:.0f} MiB")
    (few, some, many), (first, second, third) = counts, used
    early, late = (second.cpu - first.cpu) / (some - few), (third.cpu - second.cpu) / (many - some)
    print(f"a scan more costs {early:.3f} s cpu at first, {late:.3f} s later: {late / early:.2f}x (goal 1)")


def measure_processes(folder: Path, full: bool) -> None:
    counts = (4, 60) if full else (4, 16)
    marginal = {}
    for name, command in (("one process", SEGMENT), ("two processes", TWO_PROCESSES)):
        used = []
        for count in counts:
            scans = write_cohort(folder / f"{name}{count}", count)
            used.append(run(*command, scans, "-o", folder / f"results of {name}{count}", one_thread=False))
        per_scan = [(getattr(used[1], of) - getattr(used[0], of)) / (counts[1] - counts[0]) for of in ("clock", "cpu")]
        marginal[name] = per_scan
        print(f"{name}: {used[1].clock:.1f} s clock for {counts[1]}; a scan more: {per_scan[0]:.3f} s clock, ", end="")
        print(f"{per_scan[1]:.3f} s cpu")
    (clock, cpu), (clock2, cpu2) = marginal.values()
    print(f"two processes: {clock / clock2:.2f}x as fast by the clock, {cpu2 / cpu:.2f}x the processor time a scan")


def measure_memory(folder: Path, full: bool) -> None:
    side, counts = (256, (100, 500, 2000)) if full else (192, (20, 100, 250))
    peaks = []
    for count in counts:
        write_scan(folder / f"{count}.nii.gz", count, side)
        used = run(*SEGMENT, folder / f"{count}.nii.gz", "-o", folder / f"{count}.seg.nrrd", "--batch-size", 4)
        peaks.append(used.peak)
        print(f"{count:5} slices of {side}: peak {used.peak:.0f} MiB; the volume is {2 * count * side**2 / 2**20:.0f}")
    grown = (peaks[-1] - peaks[0]) * 2**20 / ((counts[-1] - counts[0]) * side**2)
    print(f"growth: {grown:.1f} bytes a voxel, where the CT takes 2 and its labels 1")


def measure_data(folder: Path, full: bool) -> None:
    write_synapse(folder / "synapse", 2211 if full else 240)
    for when in ("first start", "second start"):
        found = json.loads(run("-c", FIRST_BATCH, folder / "synapse", home=folder / "home").output)
        print(
            f"{when}: first batch after {found['cpu']:.2f} s cpu, {found['clock']:.2f} s clock; "
            f"making batches is {100 * found['stall']:.1f} % of a step of the tiny model"
        )


def write_synapse(folder: Path, slices: int) -> None:
    """Prepared slices of 18 cases, as the published preprocessing leaves them."""
    rng = np.random.default_rng(0)
    texture = rng.random((300, 300), np.float32)
    (folder / "train_npz").mkdir(parents=True)
    for number in range(slices):
        row, column = rng.integers(0, 76, 2)
        label = np.zeros((224, 224), np.float32)
        label[80:140, 60:120] = 1 + number % 8
        name = f"case{number * 18 // slices:04}_slice{number:04}.npz"
        image = texture[row : row + 224, column : column + 224]
        np.savez(folder / "train_npz" / name, image=image, label=label)


PARTS = {
    "start": measure_start,
    "cohort": measure_cohort,
    "processes": measure_processes,
    "memory": measure_memory,
    "data": measure_data,
}


def main() -> None:
    options = argparse.ArgumentParser(description="What it costs to start, and how costs grow.")
    options.add_argument("--full", action="store_true", help="200 scans, 2000 slices, the whole of Synapse")
    options.add_argument("--only", default=",".join(PARTS), metavar="A,B", help=", ".join(PARTS))
    args = options.parse_args()
    for part in args.only.split(","):
        if part not in PARTS:
            options.error(f"there is no part {part!r}")
    for part in args.only.split(","):
        print(f"\n{part}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder), args.full)


if __name__ == "__main__":
    main()
