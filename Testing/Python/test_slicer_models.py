"""The panel's list of models and of devices: what is there, what it says, and that looking costs nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import slicer_host
from SAMedLib import devices
from SAMedLib.model import BaseWeights, ModelMetadata, SAMed, SAMedConfig, load_model
from SAMedLib.model.monai_config import UNetConfig
from SAMedLib.organs import SYNAPSE, LabelSet
from SAMedLib.training import TrainingOptions, train
from SAMedLib.weights.registry import load_registry
from training_data import SHAPES, write_network, write_shapes

if (reason := slicer_host.reasonNotToBoot()) is not None:
    pytest.skip(f"the panel is not tested: {reason}", allow_module_level=True)
slicer_host.boot()

from SAMedSlicerLib.DeviceList import Device, DeviceList  # noqa: E402
from SAMedSlicerLib.ModelCatalog import ModelCatalog  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
VIT_B = load_registry().files["vit_b"]
ADAPTER_BYTES = load_registry().files["samed_vit_b_synapse"].bytes
PROVENANCE = {
    "data": {"training": {"cases": ["a", "b", "c"]}, "validation": {"cases": ["d"]}},
    "training": {"start": "tiny"},
    "steps": 30,
    "epochs": 10,
    "date": "2026-11-20T12:00:00+00:00",
    "validation": {"mean_dice": 0.8125, "dice": {"liver": 0.95, "gallbladder": None, "spleen": 0.675}},
}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty weights folder."""
    monkeypatch.setenv("SAMED_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "models").mkdir(parents=True)
    return tmp_path / "home"


def sparse(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)


def write_head(path: Path, metadata: ModelMetadata) -> Path:
    """An adapter of which only the head is like a real one."""
    tensors = {"w_a_000": torch.zeros(4, 768), "mask_decoder.mask_tokens.weight": torch.zeros(9, 256)}
    save_file(tensors, path, metadata={"samed": json.dumps(metadata.to_json())})
    return path


def write_model(path: Path, config: SAMedConfig, labels: LabelSet = SYNAPSE, **metadata) -> Path:
    """A complete model that can be loaded."""
    config = dataclasses.replace(
        config, num_classes=labels.num_classes, encoder_tuning="full", lora_targets=(), decoder_tuning="full"
    )
    model = SAMed(config)
    model.metadata = ModelMetadata(config=config, label_set=labels, **metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save_adapter(path)
    return path


def choice_of(key: str, *runs):
    return next(choice for choice in ModelCatalog(runs).choices() if choice.key == key)


def test_the_embedded_model_comes_first_and_says_that_it_is_not_for_patients(home):
    catalog = ModelCatalog()
    first = catalog.choices()[0]
    assert (first.key, first.kind, first.title) == ("tiny", "embedded", "Embedded demonstration model (tiny)")
    assert first.ready
    assert first.demonstration
    assert first.labels == SYNAPSE
    assert first.organs == SYNAPSE.names
    assert first.download_bytes == 0
    lines = first.details.splitlines()
    assert lines[0] == "Demonstration model trained on computed phantoms, not for patients"
    assert "Organs: spleen, right kidney, left kidney" in lines[1]
    assert "Size: 10 MB" in lines
    assert any(line.startswith("Validation Dice on 4 cases: mean 0.") and "pancreas 0." in line for line in lines)
    assert catalog.problems == []


def test_a_published_model_tells_what_there_is_to_download(home):
    choice = choice_of("samed-vit-b-synapse")
    assert choice.title == "SAMed ViT-B, published (download 20 MB + 375 MB)"
    assert not choice.ready
    assert choice.download_bytes == ADAPTER_BYTES + VIT_B.bytes
    assert choice.downloads == ("samed_vit_b_synapse", "vit_b")
    assert choice.labels == SYNAPSE
    assert "Built on: SAM ViT-B (sam_vit_b_01ec64.pth)" in choice.details
    assert "18 contrast-enhanced CT scans" in choice.details
    assert not choice.demonstration


def test_only_what_is_missing_counts_as_download(home):
    sparse(home / f"{VIT_B.filename}.part", 75_042_383)
    assert choice_of("samed-vit-b-synapse").download_bytes == ADAPTER_BYTES + 300_000_000
    sparse(home / VIT_B.filename, VIT_B.bytes)
    choice = choice_of("samed-vit-b-synapse")
    assert choice.title == "SAMed ViT-B, published (download 20 MB)"
    assert choice.download_bytes == ADAPTER_BYTES
    sparse(home / "samed_vit_b_synapse.pth", ADAPTER_BYTES)
    choice = choice_of("samed-vit-b-synapse")
    assert choice.ready
    assert choice.title == "SAMed ViT-B, published"
    assert (choice.download_bytes, choice.downloads) == (0, ())
    assert "download" not in choice.details


def test_another_file_under_a_published_name_is_told(home):
    sparse(home / VIT_B.filename, 1000)
    catalog = ModelCatalog()
    assert not next(choice for choice in catalog.choices() if choice.key == "samed-vit-b-synapse").ready
    assert any(VIT_B.filename in problem and "delete it" in problem for problem in catalog.problems)


def test_an_own_model_tells_when_and_on_what_it_was_trained_and_how_well_it_does(home, small_config):
    write_model(home / "models" / "our-liver.safetensors", small_config, provenance=PROVENANCE)
    choice = choice_of("our-liver")
    assert (choice.kind, choice.title, choice.ready) == ("own", "our-liver", True)
    assert choice.details.splitlines()[-2:] == [
        "Trained: 2026-11-20, on 3 cases, 10 epochs, starting from tiny",
        "Validation Dice on one case: mean 0.81, spleen 0.68, liver 0.95",
    ]
    assert "not for patients" not in choice.details
    assert load_model(choice.key).metadata.label_set == choice.labels


def test_an_own_model_of_another_network_says_which(home):
    config = UNetConfig(image_size=64, slice_size=64, num_classes=4)
    write_head(home / "models" / "u.safetensors", ModelMetadata(config=config, label_set=SHAPES))
    choice = choice_of("u")
    assert choice.ready
    assert choice.organs == SHAPES.names
    assert "Built on: no other model; U-Net with " in choice.details


def test_an_own_model_without_its_base_is_not_ready_and_says_what_to_download(home):
    base = BaseWeights(VIT_B.filename, VIT_B.sha256)
    write_head(home / "models" / "mine.safetensors", ModelMetadata(base=base, demonstration=True))
    choice = choice_of("mine")
    assert not choice.ready
    assert (choice.download_bytes, choice.downloads) == (VIT_B.bytes, ("vit_b",))
    assert choice.title == "mine (download 375 MB)"
    assert choice.details.splitlines()[-1] == "To download first: vit_b (375 MB)"
    assert choice.details.splitlines()[0] == "Demonstration model, not for patients"
    sparse(home / VIT_B.filename, VIT_B.bytes)
    assert choice_of("mine").ready


def test_an_own_model_on_a_base_that_nobody_offers_says_where_to_put_it(home):
    base = BaseWeights("our_sam.pth", "0" * 64)
    write_head(home / "models" / "mine.safetensors", ModelMetadata(base=base))
    choice = choice_of("mine")
    assert not choice.ready
    assert (choice.download_bytes, choice.downloads) == (0, ())
    assert choice.title == "mine (needs our_sam.pth)"
    assert f"put it into {home}" in choice.details
    sparse(home / "our_sam.pth", 10)
    assert choice_of("mine").ready


def test_an_own_file_of_the_published_code_is_recognised(home):
    factors = {f"w_{ab}_{i:03d}": torch.zeros((4, 768) if ab == "a" else (768, 4)) for ab in "ab" for i in range(24)}
    torch.save({**factors, "mask_decoder.mask_tokens.weight": torch.zeros(9, 256)}, home / "models" / "theirs.pth")
    choice = choice_of("theirs")
    assert choice.organs == SYNAPSE.names
    assert choice.downloads == ("vit_b",)
    assert "the file does not say on what" in choice.details


def test_files_that_cannot_be_used_are_left_out_and_told_in_a_sentence_each(home, small_config):
    models = home / "models"
    write_model(models / "good.safetensors", small_config)
    (models / "cut.safetensors").write_bytes((models / "good.safetensors").read_bytes()[:-10])
    (models / "page.pth").write_text("<html>sign in</html>")
    (models / "tiny.safetensors").write_bytes((models / "good.safetensors").read_bytes())
    (home / "misplaced.safetensors").write_bytes(b"")
    future = {**ModelMetadata().to_json(), "format": 99}
    save_file({"x": torch.zeros(1)}, models / "future.safetensors", metadata={"samed": json.dumps(future)})
    catalog = ModelCatalog()
    assert [choice.key for choice in catalog.choices() if choice.kind == "own"] == ["good"]
    for name in ("cut.safetensors", "page.pth", "tiny.safetensors", "misplaced.safetensors", "future.safetensors"):
        (problem,) = [problem for problem in catalog.problems if name in problem]
        assert problem.endswith(".")
        assert "\n" not in problem
    catalog.choices()
    assert len(catalog.problems) == 5


def test_a_damaged_registry_of_the_users_own_leaves_what_comes_along(home, tmp_path, monkeypatch):
    (tmp_path / "registry.json").write_text("{")
    monkeypatch.setenv("SAMED_REGISTRY", str(tmp_path / "registry.json"))
    catalog = ModelCatalog()
    assert catalog.choices()[0].key == "tiny"
    assert any("registry.json" in problem for problem in catalog.problems)


def test_a_folder_that_cannot_be_read_leaves_what_comes_along(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMED_HOME", str(tmp_path / ("x" * 300)))
    catalog = ModelCatalog()
    assert catalog.choices()[0].ready
    assert "cannot be read (File name too long)." in catalog.problems[0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Trainings: one that validates, and one that does not."""
    folder = tmp_path_factory.mktemp("runs")
    options = TrainingOptions(
        data=str(write_shapes(folder / "data", cases=3)),
        model_size=str(write_network(folder / "network.json")),
        init="scratch",
        image_size=64,
        slice_size=64,
        batch_size=6,
        max_steps=2,
        device="cpu",
    )
    train(dataclasses.replace(options, val_cases="case1"), folder / "My run")
    train(options, folder / "blind")
    return {name: folder / name for name in ("My run", "blind")}


def test_a_run_is_listed_with_its_best_model_its_day_and_its_dice(home, runs):
    (choice,) = [choice for choice in ModelCatalog([runs["My run"]]).choices() if choice.kind == "run"]
    metadata = load_model(choice.key).metadata
    assert Path(choice.key) == runs["My run"] / "best.safetensors"
    day, dice = metadata.provenance["date"][:4], metadata.provenance["validation"]["mean_dice"]
    assert choice.title.startswith(f"My run {day}-")
    assert choice.title.endswith(f": best (Dice {dice:.2f})")
    assert choice.organs == SHAPES.names
    assert choice.ready
    assert "on 2 cases" in choice.details
    assert "Validation Dice on one case: mean" in choice.details


def test_a_run_without_validation_is_listed_with_its_last_model(home, runs):
    (choice,) = [choice for choice in ModelCatalog([runs["blind"]]).choices() if choice.kind == "run"]
    assert Path(choice.key).name == "last.safetensors"
    assert choice.title.endswith(": last")


def test_a_run_that_goes_on_is_listed_with_its_last_model_too(home, runs, tmp_path):
    run = tmp_path / "going on"
    run.mkdir()
    for name in ("best.safetensors", "last.safetensors", "config.json"):
        (run / name).write_bytes((runs["My run"] / name).read_bytes())
    config = json.loads((run / "config.json").read_text())
    config["timetable"]["total_steps"] = 100
    (run / "config.json").write_text(json.dumps(config))
    found = [choice for choice in ModelCatalog([run]).choices() if choice.kind == "run"]
    assert [Path(choice.key).name for choice in found] == ["best.safetensors", "last.safetensors"]
    assert ": last (step 2 of 100, Dice 0." in found[1].title


def test_folders_of_runs_that_are_gone_or_have_no_model_yet_are_no_problem(home, tmp_path):
    (tmp_path / "new").mkdir()
    catalog = ModelCatalog([tmp_path / "gone", tmp_path / "new"])
    assert not [choice for choice in catalog.choices() if choice.kind == "run"]
    assert catalog.problems == []


def test_whatever_is_ready_can_be_used(home, small_config, runs):
    write_model(home / "models" / "our-liver.safetensors", small_config, labels=SHAPES)
    ready = [choice for choice in ModelCatalog(runs.values()).choices() if choice.ready]
    assert [choice.kind for choice in ready] == ["embedded", "own", "run", "run"]
    for choice in ready:
        assert load_model(choice.key).metadata.label_set.names == choice.organs


def test_looking_for_models_loads_nothing_heavy(home):
    torch.save({"w_a_000": torch.zeros(4, 768)}, home / "models" / "theirs.pth")
    code = """
import sys, time, types
sys.modules["slicer"] = types.ModuleType("slicer")
sys.modules["slicer.i18n"] = types.SimpleNamespace(tr=str)
start = time.process_time()
from SAMedSlicerLib.DeviceList import DeviceList
from SAMedSlicerLib.ModelCatalog import ModelCatalog
imported = time.process_time() - start
assert [choice.key for choice in ModelCatalog().choices()][0] == "tiny"
heavy = [name for name in ("torch", "numpy", "SimpleITK", "scipy", "requests") if name in sys.modules]
third_party = [name for name in ("platformdirs", "filelock", "safetensors", "tqdm") if name in sys.modules]
assert not heavy and not third_party, heavy + third_party
print(imported)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "SAMedSlicer"), str(ROOT)])}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 0.3


# ---- devices ----


class Settings:
    """The part of a Host that keeps settings."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def setting(self, key: str, default: str = "") -> str:
        return self.kept.get(key, default)

    def setSetting(self, key: str, value: str) -> None:
        self.kept[key] = value


def test_the_commands_answer_is_understood_and_kept(capfd):
    assert devices.main(["--events"]) == 0
    result = json.loads(capfd.readouterr().out.splitlines()[-1])
    found = DeviceList.fromResult(result)
    cpu = found.find("cpu")
    assert cpu in found.usable
    assert found.find("auto").name == result["default"]
    assert found.seconds(100, "cpu") == pytest.approx(100 * cpu.seconds_per_slice)
    assert found.seconds(100, "cpu", effort=3) == pytest.approx(300 * cpu.seconds_per_slice)
    assert {device.name for device in found.devices} > {device.name for device in found.usable}
    host = Settings()
    found.remember(host, "tiny")
    assert DeviceList.remembered(host, "tiny") == found
    assert DeviceList.remembered(host, "samed-vit-b-synapse") is None
    dataclasses.replace(found, pytorch="1.0").remember(host, "tiny")
    assert DeviceList.remembered(host, "tiny") is None


@pytest.mark.parametrize("kept", ["", "{", "[]", '{"tiny": 1}', '{"tiny": {"devices": [{}], "default": "cpu"}}'])
def test_damaged_settings_are_as_good_as_none(kept):
    host = Settings()
    host.kept["devices"] = kept
    assert DeviceList.remembered(host, "tiny") is None


def test_a_list_without_its_default_is_refused():
    with pytest.raises(ValueError, match="lacks its default, cuda:7"):
        DeviceList.fromResult({"devices": [{"name": "cpu", "title": "CPU, 2 threads"}], "default": "cuda:7"})


CPU = Device("cpu", "CPU, 8 threads", True, "every computer has it", 0.41)
GPU = Device("cuda:0", "NVIDIA H100 (80 GB)", True, "PyTorch finds it", 0.09)
NO_GPU = Device("cuda", "NVIDIA GPU", False, "PyTorch was installed without CUDA support")
WITHOUT_GPU = DeviceList((NO_GPU, CPU), "cpu", "no GPU was found: PyTorch was installed without CUDA support")
WITH_GPU = DeviceList((GPU, CPU), "cuda:0", "a GPU is faster than the CPU")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            WITHOUT_GPU.text(148),
            "CPU, 8 threads: about 1 min for 148 slices. No GPU was found: PyTorch was installed without CUDA support.",
        ),
        (WITHOUT_GPU.text(148, "cpu"), "CPU, 8 threads: about 1 min for 148 slices."),
        (WITHOUT_GPU.text(148, "cpu", effort=6), "CPU, 8 threads: about 6 min for 148 slices."),
        (WITHOUT_GPU.text(1, "cpu"), "CPU, 8 threads: a few seconds for one slice."),
        (WITHOUT_GPU.text(0, "cpu"), "CPU, 8 threads."),
        (WITHOUT_GPU.text(9, "cuda"), "NVIDIA GPU cannot be used: PyTorch was installed without CUDA support."),
        (WITHOUT_GPU.text(9, "cuda:3"), "cuda:3 was not found when the devices were looked at."),
        (WITH_GPU.text(148), "NVIDIA H100 (80 GB): about 15 s for 148 slices."),
        (DeviceList((dataclasses.replace(CPU, seconds_per_slice=None),), "cpu").text(5), "CPU, 8 threads."),
    ],
)
def test_what_is_expected_is_told_in_words(text, expected):
    assert text == expected
