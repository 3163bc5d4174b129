"""What validation after every epoch costs, as a share of the epoch's training steps.

Three things are timed, turn by turn: a training step; a validation of as many slices; and what a validation does beside
the network for a whole case of 123 slices (Dice and HD95 of each organ, their events and TensorBoard). From the times
of a round follows an epoch of the published set, 18 cases of 123 slices, with two or four held out; the median over
rounds is printed. Weights and volumes are made up; the organs measured have their usual size.

    python Testing/Benchmarks/validation.py                 the embedded model's size, trained whole: a minute
    python Testing/Benchmarks/validation.py --size vit_b    LoRA on ViT-B at 512 pixels, as published: minutes
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from SAMedLib.benchmarks.made_up import organ_labels, random_network, smooth_slices
from SAMedLib.data.augment import get_augmentation
from SAMedLib.data.slices import SliceSet
from SAMedLib.imaging.resample import zoom_nearest
from SAMedLib.model import SAMedConfig, SAMedOutput
from SAMedLib.organs import SYNAPSE
from SAMedLib.training.batches import Batches
from SAMedLib.training.fabric import make_fabric
from SAMedLib.training.options import Timetable, TrainingOptions
from SAMedLib.training.preparation import is_mixed
from SAMedLib.training.records import Records
from SAMedLib.training.run_folder import RunFolder
from SAMedLib.training.trainer import Trainer
from SAMedLib.training.validation import Validator

CASES, SLICES = 18, 123  # of the published training set
CONFIGS = {"tiny": SAMedConfig.tiny, "vit_b": SAMedConfig}


class GivenMasks(torch.nn.Module):
    """In the network's place: predictions that are there already, so that only what comes after them is timed."""

    def __init__(self, config: SAMedConfig, labels: torch.Tensor) -> None:
        super().__init__()
        self.config, self._labels, self._next = config, labels, 0

    def forward(self, images: torch.Tensor) -> SAMedOutput:
        labels = self._labels[self._next : self._next + len(images)]
        self._next = (self._next + len(images)) % len(self._labels)
        large = zoom_nearest(labels, images.shape[-2:]).long()
        masks = torch.nn.functional.one_hot(large, SYNAPSE.num_classes).permute(0, 3, 1, 2).float()
        return SAMedOutput(masks, masks, masks)


class Epoch:
    """The parts of an epoch, with real steps, a real validation and a real run folder."""

    def __init__(self, config: SAMedConfig, batch: int, precision: str, scattered: float, folder: Path) -> None:
        self._fabric = fabric = make_fabric("auto", precision)
        self._batch = batch
        slices = _case(batch, config.slice_size)
        times = Timetable(steps_per_epoch=1000, total_steps=1000, max_iterations=1000, warmup=10)
        options = TrainingOptions(data="", batch_size=batch, lr=1e-4)
        self._batches = Batches(slices, config, get_augmentation("published"), batch, 0, fabric.device)
        self._trainer = Trainer(fabric, random_network(config), self._batches, options, times)
        # a quarter of a case: the network is prepared once for all held-out cases, so its share is overstated
        self._validated = max(batch, SLICES // 4)
        few = _case(self._validated, config.slice_size)
        self._few = Validator(few, fabric.device, batch, is_mixed(fabric))
        self._whole = Validator(_case(SLICES, config.slice_size), fabric.device, batch)
        predicted = organ_labels((SLICES, config.slice_size, config.slice_size), 1, scattered)
        self._given = GivenMasks(config, torch.from_numpy(predicted).to(fabric.device))
        self._records = Records(RunFolder(folder), SYNAPSE, {})

    def seconds(self) -> np.ndarray:
        """[clock, processor] x [training a slice, validating a slice, a case beside the network]."""
        taken = np.array([_seconds(work) for work in (self._step, self._validate, self._measure)])
        return taken.T / (self._batch, self._validated, 1)

    def close(self) -> None:
        self._records.close()

    def _step(self) -> None:
        self._trainer.take_step(self._batches.parts(self._trainer.step, 1))

    def _validate(self) -> None:
        self._few.measure(self._trainer.model, self._fabric.autocast, lambda *_: None)

    def _measure(self) -> None:
        found = self._whole.measure(self._given, contextlib.nullcontext, lambda *_: None)
        self._records.metric(self._trainer.step, epoch=1, **asdict(found))


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    work()  # each ends with numbers on the CPU, so a GPU is done too
    return time.perf_counter() - clock, time.process_time() - processor


def _case(slices: int, side: int) -> SliceSet:
    images = np.resize(smooth_slices(4, side), (slices, side, side))
    return SliceSet(images, organ_labels((slices, side, side), 0), ["case"] * slices, SYNAPSE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=CONFIGS, default="tiny")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--precision", default="auto", help="fp32, bf16-mixed, fp16-mixed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scattered", type=float, default=0.0, help="share of predicted voxels with random labels")
    args = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        epoch = Epoch(CONFIGS[args.size](), args.batch_size, args.precision, args.scattered, Path(folder))
        for number in range(args.rounds + 1):
            taken = epoch.seconds()
            if number:  # the first chose kernels and took memory
                rounds.append(taken)
                print("clock: step {:.3f} s a slice, validation {:.3f}, measures {:.3f} a case".format(*taken[0]))
        epoch.close()
    step, network, measures = np.moveaxis(np.stack(rounds), 2, 0)  # each [rounds, clock and processor]
    for held_out in (2, 4):
        trained = (CASES - held_out) * SLICES * step
        shares = (held_out * SLICES * network + held_out * measures) / trained, held_out * measures / trained
        total, beside = (100 * np.median(share, axis=0) for share in shares)
        print(
            f"{held_out} of {CASES} cases held out: {total[0]:.2f} % of the epoch's training steps by the clock "
            f"({beside[0]:.2f} % beside the network), {total[1]:.2f} % ({beside[1]:.2f} %) by processor time"
        )


if __name__ == "__main__":
    main()
