"""`samed devices`: what can compute here, why the rest cannot, and how long a scan takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from SAMedLib.devices import main
from SAMedLib.durations import in_words
from SAMedLib.inference import choose_device
from SAMedLib.inference.survey import gpu_title, why_no_cuda, why_not_computing


def result_of(capfd, *arguments):
    assert main([*arguments, "--events"]) == 0
    return json.loads(capfd.readouterr().out.splitlines()[-1])


def test_every_usable_device_is_measured_and_the_others_say_why_not(capfd):
    result = result_of(capfd, "--slices", "148")
    assert result["event"] == "result"
    assert {device["name"].partition(":")[0] for device in result["devices"]} == {"cpu", "cuda", "mps"}
    for device in result["devices"]:
        assert device["why"]
        if device["usable"]:
            assert 0 < device["seconds_per_slice"] < 60
            assert device["estimated_seconds"] == pytest.approx(148 * device["seconds_per_slice"])
        else:
            assert device["seconds_per_slice"] is device["estimated_seconds"] is None
    cpu = next(device for device in result["devices"] if device["name"] == "cpu")
    assert cpu["usable"]
    assert cpu["title"] == f"CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() != 1)}"
    assert result["default"] == str(choose_device("auto"))
    assert result["problem"] is None


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="this computer has a GPU")
def test_without_a_gpu_the_cpu_is_taken_and_the_reason_is_told(capfd):
    assert main(["--slices", "20"]) == 0
    said = capfd.readouterr().out
    assert "SLICES: 20" in said
    assert "cuda: not usable, " in said
    assert "Without --device, cpu is taken. No GPU was found: " in said


def test_a_model_that_is_not_here_has_no_estimate_and_the_reason_is_told(capfd):
    result = result_of(capfd, "--model", "samed-vit-b-synapse")
    assert "samed_vit_b_synapse.pth is not on this computer" in result["problem"]
    assert {device["estimated_seconds"] for device in result["devices"]} == {None}
    assert any(device["usable"] for device in result["devices"])


def test_it_can_be_cancelled(tmp_path, capfd):
    (tmp_path / "stop").touch()
    assert main(["--stop-file", str(tmp_path / "stop")]) == 130
    assert capfd.readouterr().err.strip() == "Cancelled."


def test_no_slices_are_a_wrong_argument(capfd):
    with pytest.raises(SystemExit) as end:
        main(["--slices", "0"])
    assert end.value.code == 2
    assert "expected a whole number" in capfd.readouterr().err


def test_it_is_among_the_commands_and_its_help_needs_no_torch():
    code = "import sys; from SAMedLib.__main__ import main\ntry: main(['devices', '--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0
    assert "--slices" in ran.stdout


@pytest.mark.parametrize(
    ("error", "hidden", "why"),
    [
        ("Torch not compiled with CUDA enabled", None, "PyTorch was installed without CUDA support"),
        (
            "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver",
            None,
            "there is no NVIDIA GPU, or its driver is not installed",
        ),
        (
            "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver",
            None,
            "the NVIDIA driver is too old for this PyTorch (CUDA ",
        ),
        ("No CUDA GPUs are available", None, "the NVIDIA driver finds no GPU"),
        ("No CUDA GPUs are available", "", "the setting CUDA_VISIBLE_DEVICES hides every GPU"),
        ("CUDA unknown error.\nmore", "0", "CUDA does not start (CUDA unknown error)"),
    ],
)
def test_what_keeps_cuda_from_working_is_said_in_words(error, hidden, why):
    assert why_no_cuda(error, hidden).startswith(why)


def test_a_gpu_that_fails_at_its_first_calculation_is_said_in_words():
    assert why_not_computing("CUDA error: no kernel image is available for execution").endswith(
        "too old for this PyTorch"
    )
    assert why_not_computing("CUDA error: an illegal memory access\n...").endswith(
        "(CUDA error: an illegal memory access)"
    )


@pytest.mark.parametrize(
    ("name", "memory", "title"),
    [
        ("NVIDIA H100 80GB HBM3", 85_520_809_984, "NVIDIA H100 (80 GB)"),
        ("NVIDIA A100-SXM4-40GB", 42_297_786_368, "NVIDIA A100-SXM4 (39 GB)"),
        ("NVIDIA GeForce GTX 1060 6GB", 6_371_475_456, "NVIDIA GeForce GTX 1060 (6 GB)"),
        ("NVIDIA RTX A4000", 16_908_615_680, "NVIDIA RTX A4000 (16 GB)"),
    ],
)
def test_gpus_are_called_by_name_and_memory(name, memory, title):
    assert gpu_title(name, memory) == title


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than a second"),
        (2.4, "about 2 s"),
        (59.4, "about 59 s"),
        (59.6, "about 1 min"),
        (3570, "about 1 h 00 min"),
        (3600 * 30 + 5 * 60, "about 30 h 05 min"),
    ],
)
def test_durations_are_told_in_words(seconds, words):
    assert in_words(seconds) == words
