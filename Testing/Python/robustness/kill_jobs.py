"""Small work of every kind that writes files: to be killed, and to be done again until it gets through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from bad_input import write_model
from killing import Trial, bytes_below, weights_of
from made_ct import soft_tissue, write_image
from SAMedLib.prepare import main as prepare
from SAMedLib.segment import main as segment
from SAMedLib.train import main as train
from SAMedLib.training.run_folder import RunFolder
from SAMedLib.weights.acquire import download
from SAMedLib.weights.registry import load_registry
from SAMedLib.weights.store import Store
from training_data import write_network, write_shapes
from weights_server import running, slow, write_registry

Make = Callable[[int], Trial]


def _call(main: Callable, *arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@contextlib.contextmanager
def training(folder: Path) -> Iterator[Make]:
    """Four steps of two epochs with validation, a running mean and a save after every step."""
    data = write_shapes(folder / "data", cases=2)
    network = write_network(folder / "network.json")
    options = ["--data", data, "--model-size", network, "--init", "scratch", "--image-size", 64, "--slice-size", 64]
    options += ["--epochs", 2, "--batch-size", 3, "--val-cases", 1, "--ema", 0.9, "--augmentation", "strong"]
    options += ["--save-every-minutes", 0, "--device", "cpu"]

    def make(number: int) -> Trial:
        output = folder / str(number) / "run"
        return Trial(partial(_train, output, options), output, partial(_trained, output))

    yield make


def _train(output: Path, options: list[object]) -> int:
    return _call(train, "--output", output, *(["--resume"] if RunFolder(output).holds_a_run else options))


def _trained(output: Path) -> object:
    run = RunFolder(output)
    losses = [(event["step"], event["loss"]) for event in run.events() if "loss" in event]
    return weights_of(run.adapter("last")), weights_of(run.adapter("best")), losses


@contextlib.contextmanager
def segmenting(folder: Path) -> Iterator[Make]:
    """Two scans into a folder, which goes on with those that are missing; with pictures and a table."""
    model = write_model(folder / "small.safetensors")
    (folder / "scans").mkdir()
    for number in range(2):
        write_image(folder / "scans" / f"scan{number}.nii.gz", soft_tissue((3, 40, 48), seed=number))

    def make(number: int) -> Trial:
        output = folder / str(number) / "organs"
        more = ["--table", output / "table.json", "--overview", output, "--device", "cpu"]
        start = partial(_call, segment, folder / "scans", "-o", output, "--model", model, *more)
        return Trial(start, output, partial(bytes_below, output))

    yield make


@contextlib.contextmanager
def preparing(folder: Path) -> Iterator[Make]:
    """A dataset of three scans and their labels."""
    (folder / "scans").mkdir()
    (folder / "labels").mkdir()
    for number in range(3):
        scan = soft_tissue((3, 40, 48), seed=number)
        write_image(folder / "scans" / f"case{number}.nii.gz", scan)
        write_image(folder / "labels" / f"case{number}.nii.gz", (scan > 40).astype(np.uint8))

    def make(number: int) -> Trial:
        output = folder / str(number) / "dataset"
        arguments = ["segmentations", folder / "scans", folder / "labels", "-o", output, "--labels", "organ=1"]
        return Trial(partial(_call, prepare, *arguments), output, partial(bytes_below, output))

    yield make


@contextlib.contextmanager
def downloading(folder: Path) -> Iterator[Make]:
    """A file from a server on this computer."""
    with running() as server:
        server.payload = np.random.default_rng(0).bytes(2_000_000)
        server.usual = slow(0.01)
        registry = write_registry(folder / "registry.json", server)

        def make(number: int) -> Trial:
            output = folder / str(number) / "weights"
            return Trial(partial(_download, output, registry), output, partial((output / "base.pth").read_bytes))

        yield make


def _download(output: Path, registry: Path) -> int:
    download(Store(output, load_registry(registry)), "base")
    return 0
