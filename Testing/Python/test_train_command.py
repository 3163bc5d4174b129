"""`samed train`: options, recipes, events, and several processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import SAMedLib
from SAMedLib.train import main
from SAMedLib.training import RunFolder
from training_data import write_network, write_shapes


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe for a run of four steps on small data, with a validation."""
    folder = tmp_path_factory.mktemp("recipe")
    options = {
        "data": str(write_shapes(folder / "data")),
        "model-size": str(write_network(folder / "network.json")),
        "init": "scratch",
        "image_size": 64,
        "slice_size": 64,
        "batch_size": 8,
        "max_steps": 4,
        "val_cases": ["case1"],
        "warmup": 2,
        "lr": 0.003,
        "device": "cpu",
        "save_pth": False,
    }
    path = folder / "recipe.json"
    path.write_text(json.dumps(options))
    return path


def run(*arguments):
    return main([str(argument) for argument in arguments])


def stderr_of(capfd):
    return capfd.readouterr().err.strip()


def test_a_recipe_trains_and_the_command_line_wins(recipe, tmp_path, capfd):
    assert run("--config", recipe, "--output", tmp_path / "run", "--lr", "0.001", "--lora-targets", "") == 0
    config = RunFolder(tmp_path / "run").read_config()
    assert config["options"]["lr"] == 0.001
    assert config["options"]["max_steps"] == 4
    assert config["options"]["val_cases"] == "case1"
    said = capfd.readouterr().out
    assert "3 cases, 18 slices of 64 pixels" in said
    assert "slices with disc 18, square 18, bar 18" in said
    assert "4, 3 an epoch, 8 slices each" in said


def test_events_are_one_json_object_per_line(recipe, tmp_path, capfd):
    assert run("--config", recipe, "--output", tmp_path / "run", "--events") == 0
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    steps = [event for event in events if event["event"] == "metric" and "loss" in event]
    assert [event["step"] for event in steps] == [1, 2, 3, 4]
    assert set(steps[0]) == {"event", "step", "epoch", "loss", "loss_ce", "loss_dice", "lr"}
    validations = [event for event in events if event["event"] == "metric" and "dice" in event]
    assert [event["epoch"] for event in validations] == [1, 2]
    assert events[-1]["event"] == "result"
    assert Path(events[-1]["adapter"]).is_file()
    written = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert written == [event for event in events if event["event"] == "metric"]


def test_the_published_layout_is_written_on_request(recipe, tmp_path):
    arguments = ["--config", recipe, "--max-steps", "1", "--val-cases", "0", "--device", "cpu"]
    assert run(*arguments, "--output", tmp_path / "a") == 0
    lora = ["--data", json.loads(recipe.read_text())["data"], "--start", tmp_path / "a", "--encoder-tuning", "lora"]
    assert run(*lora, "--output", tmp_path / "b", "--max-steps", "1", "--device", "cpu", "--save-pth") == 0
    published = torch.load(tmp_path / "b" / "last.pth", weights_only=True)
    assert published["w_a_000"].shape == (4, 32)


def test_a_stopped_run_says_so_and_goes_on_with_no_further_options(recipe, tmp_path, capfd):
    stop = tmp_path / "stop"
    stop.touch()
    # loading asks too, so the run stops before it exists: nothing is left behind
    assert run("--config", recipe, "--output", tmp_path / "run", "--stop-file", stop) == 130
    assert stderr_of(capfd).endswith("Cancelled.")
    assert not (tmp_path / "run").exists()
    stop.unlink()
    assert run("--config", recipe, "--output", tmp_path / "run", "--max-steps", "2", "--max-epochs", "200") == 0
    assert run("--output", tmp_path / "run", "--resume", "--max-steps", "3") == 0
    assert "Going on after step 2 of 3." in capfd.readouterr().out
    assert RunFolder(tmp_path / "run").events()[-1]["step"] == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"learning": 1}', "has the unknown option 'learning'"),
        ("[1]", "is not a recipe"),
        ("{", "is not readable JSON"),
        ('{"lr": "fast"}', "invalid float value"),
        ('{"schedule": "cosine"}', "invalid choice: 'cosine'"),
    ],
)
def test_a_wrong_recipe_is_a_wrong_argument(tmp_path, capfd, text, message):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(SystemExit) as end:
        run("--config", tmp_path / "recipe.json", "--output", tmp_path / "run", "--data", tmp_path)
    assert end.value.code == 2
    assert message in stderr_of(capfd)


def test_data_and_output_are_asked_for(tmp_path, capfd):
    for arguments in (["--output", tmp_path], ["--data", tmp_path]):
        with pytest.raises(SystemExit) as end:
            run(*arguments)
        assert end.value.code == 2
        assert "arguments are required" in stderr_of(capfd)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "no-such-model"], "no-such-model"),
        (["--start", "gone.safetensors"], "no model file gone.safetensors"),
        (["--base", "gone.pth"], "gone.pth"),
        (["--model-size", "vit_b", "--image-size", "500"], "Image size 500"),
        (["--model-size", "vit_b", "--lora-targets", "q,z"], "LoRA target 'z'"),
    ],
)
def test_what_is_missing_or_impossible_ends_in_one_sentence(recipe, tmp_path, capfd, monkeypatch, arguments, message):
    monkeypatch.setenv("SAMED_HOME", str(tmp_path / "home"))
    data = json.loads(recipe.read_text())["data"]
    assert run("--data", data, "--output", tmp_path / "run", *arguments) == 1
    said = stderr_of(capfd)
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_missing_base_weights_come_with_the_way_to_get_them(recipe, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("SAMED_HOME", str(tmp_path / "home"))
    assert run("--data", json.loads(recipe.read_text())["data"], "--output", tmp_path / "run") == 1
    assert "vit_b" in stderr_of(capfd)


def test_data_that_is_no_dataset_is_named(recipe, tmp_path, capfd):
    assert run("--config", recipe, "--data", tmp_path, "--output", tmp_path / "run") == 1
    assert f"{tmp_path} is not a dataset" in stderr_of(capfd)


def test_two_processes_train_what_one_trains_with_the_doubled_batch(recipe, tmp_path):
    """Losses and weights after four steps, one of them with a smaller batch, equal to float32 rounding."""
    arguments = ["--config", str(recipe), "--optimizer", "sgd", "--lr", "0.05", "--output"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(SAMedLib.__file__).parents[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    together = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *("--master-addr", "127.0.0.1", "--master-port", str(port), "-m", "SAMedLib.train"),
            *(*arguments, str(tmp_path / "two"), "--events"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert together.returncode == 0, together.stderr
    assert run(*arguments, tmp_path / "one") == 0
    one, two = (RunFolder(tmp_path / name) for name in ("one", "two"))
    assert len(two.events()) == len(one.events()) == 6
    assert len([line for line in together.stdout.splitlines() if '"metric"' in line]) == 6
    for a, b in zip(one.events(), two.events(), strict=True):
        numbers = [name for name in a if name not in ("event", "dice", "hd95")]
        assert [a[name] for name in numbers] == pytest.approx([b[name] for name in numbers], rel=1e-5)
    ours, theirs = load_file(one.adapter("last")), load_file(two.adapter("last"))
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-6)


def test_help_needs_no_torch():
    code = "import sys; from SAMedLib.train import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(SAMedLib.__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True).returncode == 0
