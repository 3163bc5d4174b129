"""`samed weights`, as people and the Slicer module call it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from SAMedLib.weights import store as weights
from SAMedLib.weights.__main__ import main
from SAMedLib.weights.inspection import inspect_weights
from weights_server import SIZE, make_adapter, running, slow, truncated, without_proxies, write_registry


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """An empty weights folder."""
    without_proxies(monkeypatch)
    monkeypatch.setenv("SAMED_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SAMED_REGISTRY", raising=False)
    return tmp_path / "home"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with one file, "base", which the registry of this computer adds."""
    with running() as server:
        server.payload = random.Random(0).randbytes(SIZE)
        monkeypatch.setenv("SAMED_REGISTRY", str(write_registry(tmp_path / "registry.json", server)))
        yield server


def _start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "SAMedLib.weights", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def _run(*arguments: str) -> tuple[int, str, str]:
    process = _start(*arguments)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def _events(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines()]


def test_list_shows_models_files_and_the_folder(home, capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for expected in ("tiny", "samed-vit-b-synapse", "not for patients", "375 MB", "Apache-2.0", "MIT", str(home)):
        assert expected in out
    assert not home.exists()


def test_list_as_json_says_the_same(home, capsys, server):
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["folder"] == str(home)
    files = {file["name"]: file for file in listed["files"]}
    assert files["base"]["state"] == "absent"
    assert files["base"]["full_bytes"] == SIZE
    assert {m["name"]: m["ready"] for m in listed["models"]}["samed-vit-b-synapse"] is False


def test_list_tells_partial_wrong_and_unknown_files(home, server, capsys):
    home.mkdir()
    (home / "base.pth.part").write_bytes(bytes(400_000))
    (home / "sam_vit_b_01ec64.pth").write_bytes(b"not it")
    (home / "epoch_159.pth").write_bytes(b"?")
    assert main(["list", "--json"]) == 0
    states = {file["name"]: file["state"] for file in json.loads(capsys.readouterr().out)["files"]}
    assert (states["base"], states["vit_b"], states["epoch_159.pth"]) == ("partial", "wrong", "unknown")
    assert main(["list"]) == 0
    assert "400 kB of 1 MB" in capsys.readouterr().out


def test_download_talks_in_events_and_ends_with_the_file(home, server):
    code, out, err = _run("download", "base", "--events")
    assert code == 0, err
    events = _events(out)
    assert {e["stage"] for e in events if e["event"] == "progress"} == {"downloading base", "checking base.pth.part"}
    assert events[-1] == {"event": "result", "files": [str(home / "base.pth")]}
    assert (home / "base.pth").read_bytes() == server.payload


def test_a_failed_download_is_one_sentence_and_exit_code_1(home, server):
    server.payload = bytes(SIZE)
    code, out, err = _run("--events", "download", "base")
    assert code == 1
    assert len(err.strip().splitlines()) == 1
    assert _events(out)[-1] == {"event": "error", "message": err.strip()}
    assert not (home / "base.pth").exists()


def test_unknown_names_fail_with_what_exists_and_wrong_arguments_with_2(capsys):
    assert main(["download", "nonsense"]) == 1
    assert "vit_b" in capsys.readouterr().err
    for arguments in ([], ["fly"], ["download"], ["import"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


def test_two_processes_that_want_the_same_file_transfer_it_once(home, server):
    server.usual = slow(0.05)
    first = _start("download", "base")
    while not server.requests:
        assert first.poll() is None
        time.sleep(0.01)
    second = _start("download", "base")
    assert first.wait(timeout=30) == 0
    _, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    assert "waiting" in err
    assert len(server.requests) == 1
    assert (home / "base.pth").read_bytes() == server.payload


def test_a_killed_download_goes_on_and_its_lock_is_free(home, server):
    server.answers = [slow(0.1)]
    process = _start("download", "base")
    part = home / "base.pth.part"
    while not part.exists() or not part.stat().st_size:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    have = part.stat().st_size
    assert 0 < have < SIZE
    assert main(["download", "base"]) == 0
    assert server.ranges() == [None, f"bytes={have}-"]


def test_a_stop_file_cancels_with_130_and_the_next_download_goes_on(home, server, tmp_path):
    stop = tmp_path / "stop"

    def answer(handler):
        stop.touch()
        slow(0.02)(handler)

    server.answers = [truncated(327_680), answer]
    code, _, err = _run("download", "base", "--stop-file", str(stop))
    assert (code, err.splitlines()[-1]) == (130, "Cancelled.")
    assert (home / "base.pth.part").stat().st_size >= 327_680
    assert not (home / "base.pth").exists()
    stop.unlink()
    assert main(["download", "base"]) == 0
    assert server.ranges()[-1] is not None


def test_a_file_from_a_usb_stick_works_without_any_network(home, server, tmp_path, capsys):
    stick = tmp_path / "stick.bin"
    stick.write_bytes(server.payload)
    assert main(["import", str(stick)]) == 0
    assert str(home / "base.pth") in capsys.readouterr().out
    assert main(["download", "base"]) == 0
    assert server.requests == []
    assert stick.is_file()


def test_a_wrong_import_is_refused(tmp_path, capsys):
    file = tmp_path / "letter.txt"
    file.write_text("Dear colleague")
    assert main(["import", str(file)]) == 1
    assert f"{file} is not a weights file" in capsys.readouterr().err
    assert main(["import", str(tmp_path)]) == 1
    assert main(["import", str(file), "--name", "vit_b"]) == 1
    assert main(["import", str(file), "--name", "tiny"]) == 1
    assert "comes with SAMedLib" in capsys.readouterr().err


def test_info_describes_a_published_adapter(golden, capsys):
    assert main(["info", str(golden / "samed_w4_lora.pth"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["layout"], about["rank"], about["num_classes"]) == ("SAMed", 4, 9)
    assert about["tensors"] == 183


def test_info_says_what_no_file_is(capsys):
    assert main(["info", "nonsense"]) == 1
    assert "samed weights list" in capsys.readouterr().err


def test_an_own_model_is_imported_listed_described_and_removed(tmp_path, home, capsys):
    make_adapter(tmp_path / "mine.pth", rank=2)
    assert main(["import", str(tmp_path / "mine.pth")]) == 0
    assert main(["list"]) == 0
    assert "Added by you" in capsys.readouterr().out
    assert main(["info", "mine"]) == 0
    assert "LoRA rank  2" in capsys.readouterr().out
    assert main(["remove", "mine"]) == 0
    assert not list((home / "models").glob("mine*"))
    assert main(["remove", "mine"]) == 1


def test_the_embedded_model_cannot_be_removed(capsys):
    assert main(["remove", "tiny"]) == 1
    assert "stays" in capsys.readouterr().err


def test_the_embedded_model_describes_itself_without_a_network(capsys):
    file = weights.default_store().path_of(weights.default_store().find_entry("tiny_synapse_phantoms"))
    if not file.is_file():
        assert main(["info", "tiny"]) == 1
        assert "missing from this installation" in capsys.readouterr().err
        return
    assert main(["info", "tiny"]) == 0
    out = capsys.readouterr().out
    for expected in ("liver", "LAS", "none, it is complete", '"demonstration": true'):
        assert expected in out


def _samed_state(decoder_tuning: str):
    """A random ViT-B SAMed with its adapter file's tensors."""
    from SAMedLib.model import SAMed, SAMedConfig

    torch.manual_seed(0)
    return SAMed(SAMedConfig(image_size=64, decoder_tuning=decoder_tuning))


@pytest.mark.parametrize(
    ("decoder_tuning", "name", "layout"),
    [("full", "samed_vit_b_synapse", "SAMed"), ("lora", "samed_s_vit_b_synapse", "SAMed_s")],
)
def test_a_published_adapter_converts_both_ways_and_is_what_the_registry_expects(
    decoder_tuning, name, layout, tmp_path, home, capsys
):
    published = tmp_path / "epoch_159.pth"
    _samed_state(decoder_tuning).save_adapter(published)
    # the very structure and size of the authors' files, so it is taken for one
    assert main(["import", str(published)]) == 0
    assert (home / f"{name}.pth").is_file()
    assert main(["convert", name.replace("_", "-"), str(tmp_path / "ours.safetensors")]) == 0
    assert main(["convert", str(tmp_path / "ours.safetensors"), str(tmp_path / "again.pth")]) == 0
    before, after = (torch.load(p, weights_only=True) for p in (published, tmp_path / "again.pth"))
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    capsys.readouterr()
    assert main(["info", str(tmp_path / "ours.safetensors"), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["needs_base"] == "vit_b"
    assert about["metadata"]["label_set"]["labels"][4]["name"] == "liver"
    assert about["metadata"]["orientation"] == "LAS"
    assert about["complete"] is False


def test_a_pth_trained_at_other_sizes_says_so_once_it_is_converted(tmp_path, home, capsys):
    _samed_state("full").save_adapter(tmp_path / "epoch_159.pth")
    sizes = ["--image-size", "224", "--slice-size", "160"]
    assert main(["convert", str(tmp_path / "epoch_159.pth"), str(tmp_path / "ours.safetensors"), *sizes]) == 0
    config = inspect_weights(tmp_path / "ours.safetensors").metadata["config"]
    assert (config["image_size"], config["slice_size"]) == (224, 160)
    assert main(["convert", str(tmp_path / "ours.safetensors"), str(tmp_path / "again.pth"), *sizes]) == 1
    assert "says itself which sizes it takes" in capsys.readouterr().err
    wrong = ["--image-size", "500"]
    assert main(["convert", str(tmp_path / "epoch_159.pth"), str(tmp_path / "other.safetensors"), *wrong]) == 1
    assert "500" in capsys.readouterr().err
    assert not (tmp_path / "other.safetensors").exists()


def test_convert_refuses_what_it_cannot_do_and_writes_nothing(tmp_path, capsys):
    make_adapter(tmp_path / "small.pth")
    before = set(tmp_path.iterdir())
    assert main(["convert", str(tmp_path / "small.pth"), str(tmp_path / "out.onnx")]) == 1
    assert ".safetensors" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "small.pth"), str(tmp_path / "out.safetensors")]) == 1
    assert "small.pth" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "small.pth"), str(tmp_path / "small.pth")]) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert set(tmp_path.iterdir()) == before


def test_the_light_half_loads_without_torch():
    code = (
        "import sys, SAMedLib.weights.store as s; s.default_store().cached_files(); s.model_entry('tiny');"
        "assert not {'torch', 'numpy', 'scipy', 'SimpleITK', 'requests'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
