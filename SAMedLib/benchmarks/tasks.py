"""What is measured: each task does one thing as the published algorithm does it, and as SAMedLib does."""

from __future__ import annotations

import copy
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, run

import numpy as np
import torch

import SAMedLib
from SAMedLib.benchmarks import plain
from SAMedLib.benchmarks.made_up import ORGANS, organ_labels, random_network, smooth_slices
from SAMedLib.benchmarks.timing import Row, Way, take_turns
from SAMedLib.data.augment import get_augmentation, to_network_size
from SAMedLib.data.slices import SliceSet
from SAMedLib.evaluation.measure import measure_labels
from SAMedLib.events import Reporter
from SAMedLib.imaging.resample import zoom_cubic
from SAMedLib.imaging.volume import Geometry, write_array
from SAMedLib.inference import Segmenter
from SAMedLib.inference.devices import default_batch_size
from SAMedLib.inference.packed_linear import multiplies
from SAMedLib.model import SAMed, SAMedConfig
from SAMedLib.onednn import has_bfloat16
from SAMedLib.organs import SYNAPSE
from SAMedLib.training.batches import Batches
from SAMedLib.training.fabric import make_fabric
from SAMedLib.training.options import Timetable, TrainingOptions
from SAMedLib.training.schedule import learning_rate
from SAMedLib.training.trainer import Trainer

PUBLISHED = "published"
FULL_VOLUME = (148, 512, 512)  # a scan of the published test set
_CT_SIDE = 512
_LEARNING_RATE = 1e-3
_SAMPLES = 12  # that one process of the published training loads for a step


class LeftOut(Exception):
    """A task cannot be measured here; says why."""


@dataclass(frozen=True)
class Setting:
    """What is measured with.

    Attributes:
        config: the network.
        size: its name.
        device: of ours and of the published network.
        rounds: of every task; None for what suits each.
        volume: slices, rows and columns of what is evaluated.
        batch_size: slices at once for ours, None as `samed segment` does.
        training_batch: slices of a training step.
    """

    config: SAMedConfig
    size: str
    device: torch.device
    rounds: int | None = None
    volume: tuple[int, int, int] = FULL_VOLUME
    batch_size: int | None = None
    training_batch: int = 2

    @property
    def precisions(self) -> tuple[str, ...]:
        if self.device.type == "cpu" and multiplies(torch.int8):
            return ("fp32", "bf16", "int8")
        slow = self.device.type == "mps" or (self.device.type == "cpu" and not has_bfloat16())
        return ("fp32",) if slow else ("fp32", "bf16")

    @property
    def warm_up(self) -> int:
        """On a GPU the clock rises, and kernels are still chosen in the second round."""
        return 3 if self.device.type == "cuda" else 1


@dataclass(frozen=True)
class Result:
    """What came of a task.

    Attributes:
        task, title: its name, and what was done.
        unit: what the times are for.
        rows: the measured ways.
        remarks: how equal their results are, and what else is to be known.
        yardstick: the way that the others are measured against.
    """

    task: str
    title: str
    unit: str
    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()
    yardstick: str = PUBLISHED


def measure_slice(setting: Setting, report: Reporter) -> Result:
    """A windowed CT slice to labels, zooms included."""
    report.progress("slice", 0, 1, "making a network")
    model = random_network(setting.config).to(setting.device)
    published = plain.PlainSAMed(model)
    model.merge_lora()
    ours = {name: Segmenter(model, str(setting.device), name, setting.batch_size) for name in setting.precisions}
    at_once = next(iter(ours.values())).batch_size
    images = smooth_slices(at_once, _CT_SIDE)
    remarks = [f"{name}: {_agreement(published, segmenter, images[0], report)}" for name, segmenter in ours.items()]
    remarks.append(
        "with random weights nearly all pixels are close to a tie, so labels differ more than with trained ones"
    )
    ways = [Way(PUBLISHED, lambda: published.segment_slice(images[0]))]
    ways += [Way(name, partial(segmenter.predict, images), at_once) for name, segmenter in ours.items()]
    rows = take_turns(ways, setting.rounds or 5, setting.device, "slice", report, setting.warm_up)
    title = f"one slice of {_CT_SIDE} x {_CT_SIDE} to labels, {network_name(setting)}, ours {at_once} at once"
    return Result("slice", title, "slice", rows, tuple(remarks))


def _agreement(published: plain.PlainSAMed, segmenter: Segmenter, image: np.ndarray, report: Reporter) -> str:
    """Of logits for the same input of the network, and of labels from slice to slice."""
    report.progress("slice", 0, 1, f"comparing {segmenter.precision} with the published one")
    config = published.config
    sized = plain.to_network(image, config.slice_size, config.image_size)
    sized = torch.from_numpy(sized)[None, None].to(segmenter.device)
    with torch.inference_mode():
        expected, _ = published(sized)
        error = (segmenter.logits(sized) - expected).square().mean().sqrt() / expected.std()
    equal = (segmenter.predict(image[None])[0] == published.segment_slice(image)).mean()
    return f"rms logit error {100 * float(error):.2g} % of their spread, {100 * equal:.3f} % of labels equal"


def measure_zoom(setting: Setting, report: Reporter) -> Result:
    """The two cubic zooms before the network."""
    config = setting.config
    sides = [config.slice_size, config.image_size]
    at_once = setting.batch_size or default_batch_size(setting.device, config.image_size)
    images = smooth_slices(at_once, _CT_SIDE)
    there = torch.from_numpy(images).to(setting.device)

    def ours() -> torch.Tensor:
        zoomed = there
        for side in sides:
            zoomed = zoom_cubic(zoomed, (side, side))
        return zoomed

    difference = np.abs(ours()[0].cpu().numpy() - plain.to_network(images[0], *sides)).max()
    ways = [
        Way(PUBLISHED, lambda: [plain.to_network(image, *sides) for image in images], at_once),
        Way("matrices", ours, at_once),
    ]
    rows = take_turns(ways, setting.rounds or 9, setting.device, "zoom", report, setting.warm_up)
    title = " to ".join(f"{side} x {side}" for side in (_CT_SIDE, *dict.fromkeys(sides)))
    return Result("zoom", f"cubic zoom, {title}", "slice", rows, (f"largest difference {difference:.1e} of [0, 1]",))


def measure_augmentation(setting: Setting, report: Reporter) -> Result:
    """Mirroring or rotating a training slice and its labels, and bringing them to the network's sizes."""
    config, device = setting.config, setting.device
    side = config.slice_size
    images = smooth_slices(_SAMPLES, side)
    labels = organ_labels((_SAMPLES, side, side), 0)
    images_there, labels_there = torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)
    augmentation, draws, generator = get_augmentation("published"), random.Random(0), torch.Generator().manual_seed(0)

    def published() -> None:
        for image, label in zip(images, labels, strict=True):
            plain.augmented(image, label, config.image_size, draws)

    def ours() -> None:
        drawn = augmentation.draw(_SAMPLES, generator)
        to_network_size(*augmentation.apply(images_there, labels_there, drawn), config)

    every = torch.arange(45)  # the maps of all mirrorings and angles are made once in a training
    augmentation.apply(images_there[:1].expand(45, -1, -1), labels_there[:1].expand(45, -1, -1), every)
    ways = [Way(PUBLISHED, published, _SAMPLES), Way("batched", ours, _SAMPLES)]
    rows = take_turns(ways, setting.rounds or 9, device, "augmentation", report, setting.warm_up)
    return Result("augmentation", f"a training slice, {side} to {config.image_size} pixels", "slice", rows)


def measure_training(setting: Setting, report: Reporter) -> Result:
    """A step of AdamW on a batch that is in memory."""
    report.progress("training", 0, 1, "making a network")
    config, device, batch = setting.config, setting.device, setting.training_batch
    times = Timetable(steps_per_epoch=1000, total_steps=1000, max_iterations=1000, warmup=10)
    model = random_network(config)
    published = plain.PlainTraining(plain.PlainSAMed(copy.deepcopy(model).to(device)))
    trainers = {
        precision: _trainer(setting, copy.deepcopy(model), precision, times)
        for precision in setting.precisions
        if precision != "int8"
    }
    parts = _training_batches(setting).parts(0, 1)
    losses: dict[str, list[float]] = {name: [] for name in (PUBLISHED, *trainers)}

    def published_step() -> None:
        rate = learning_rate(len(losses[PUBLISHED]), _LEARNING_RATE, times.warmup, times.max_iterations)
        losses[PUBLISHED].append(published.step(parts[0].images, parts[0].labels, rate))

    def our_step(precision: str) -> None:
        losses[precision].append(trainers[precision].take_step(parts)[0].total)

    ways = [Way(PUBLISHED, published_step)]
    ways += [Way(precision, partial(our_step, precision)) for precision in trainers]
    rows = take_turns(ways, setting.rounds or 3, device, "training", report, setting.warm_up)
    curve = ", ".join(f"{name} {values[0]:.5f} to {values[-1]:.5f}" for name, values in losses.items())
    remark = f"loss of the first to that of step {len(losses[PUBLISHED])}: {curve}"
    title = f"a training step on {batch} slices, {network_name(setting)}"
    return Result("training", title, "step", rows, (remark,))


def _trainer(setting: Setting, model: SAMed, precision: str, times: Timetable) -> Trainer:
    options = TrainingOptions(data="", batch_size=setting.training_batch, lr=_LEARNING_RATE)
    fabric = make_fabric(str(setting.device), "bf16-mixed" if precision == "bf16" else precision)
    return Trainer(fabric, model, _training_batches(setting), options, times)


def _training_batches(setting: Setting) -> Batches:
    side, count = setting.config.slice_size, setting.training_batch
    labels = organ_labels((count, side, side), 0)
    slices = SliceSet(smooth_slices(count, side), labels, ["made up"] * count, SYNAPSE)
    return Batches(slices, setting.config, get_augmentation("none"), count, 0, setting.device)


def measure_evaluation(setting: Setting, report: Reporter) -> Result:
    """Dice and HD95 of eight organs; ours measures HD100, ASSD and NSD as well in its time."""
    report.progress("evaluation", 0, 1, "making volumes")
    prediction, reference = (organ_labels(setting.volume, seed) for seed in (0, 1))
    found: dict[str, list[tuple[float, float | None]]] = {}

    def published() -> None:
        found[PUBLISHED] = plain.evaluated(prediction, reference, ORGANS, report.check_cancelled)

    def ours() -> None:
        measured = measure_labels(prediction, reference, ORGANS, threads=torch.get_num_threads())
        found["boxes"] = [(one.dice, one.hd95) for one in measured]

    has_medpy = find_spec("medpy") is not None
    ways = [Way("boxes", ours)]
    if has_medpy:
        ways.insert(0, Way(PUBLISHED, published))
    cpu = torch.device("cpu")
    rows = take_turns(ways, setting.rounds or 1, cpu, "evaluation", report, warm_up=0, compared=has_medpy)
    remark = "the package medpy is not installed, so there is nothing to compare with"
    if has_medpy:
        remark = f"largest difference of all values {np.abs(np.subtract(*found.values())).max():.1e}"
    size = " x ".join(str(length) for length in reversed(setting.volume))
    return Result("evaluation", f"DSC and HD95 of {ORGANS} organs, {size} voxels", "scan", rows, (remark,))


def measure_start(setting: Setting, report: Reporter) -> Result:
    """Commands in processes of their own, beside one that only imports PyTorch."""
    library = str(Path(SAMedLib.__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (library, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths}

    def child(*arguments: str) -> None:
        run([sys.executable, *arguments], check=True, stdout=DEVNULL, stderr=DEVNULL, env=environment)

    with tempfile.TemporaryDirectory(prefix="samed_benchmark_") as folder:
        scan, labels = Path(folder) / "ct.nii.gz", Path(folder) / "labels.nii.gz"
        hu = (1000 * smooth_slices(1, 256) - 500).astype(np.int16)
        geometry = Geometry((256, 256, 1), (1.5, 1.5, 3.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
        write_array(scan, hu, geometry)
        segment = ("-m", "SAMedLib", "segment", str(scan), "-o", str(labels), "--device", setting.device.type)
        ways = [
            Way("samed --help", lambda: child("-m", "SAMedLib", "--help")),
            Way("Python importing PyTorch", lambda: child("-c", "import torch")),
            Way("samed segment, one slice", lambda: child(*segment)),
        ]
        rows = take_turns(ways, setting.rounds or 3, torch.device("cpu"), "start", report, compared=False)
    return Result("start", "commands from start to end, embedded model", "command", rows)


def network_name(setting: Setting) -> str:
    name = setting.size if setting.size == "tiny" else f"ViT-{setting.size[-1].upper()}"
    return f"{name} at {setting.config.image_size} pixels"
