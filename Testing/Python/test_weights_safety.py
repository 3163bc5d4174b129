"""Weights files that mean harm, or are damaged: refused with a sentence, and nothing in them is ever run."""

from __future__ import annotations

import ast
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT
from SAMedLib.weights import acquire
from SAMedLib.weights.importing import import_file
from SAMedLib.weights.inspection import inspect_weights
from SAMedLib.weights.store import Store
from weights_server import QUICK, make_adapter_store, running, without_proxies


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "home")


class _Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (os.system, (f'"{sys.executable}" -c "open({str(self.target)!r}, chr(119))"',))


def _pickled(path: Path, program: bytes, **extra: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
        for name, content in extra.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("kind", ["torch.save", "protocol 4", "protocol 0", "bare pickle"])
def test_code_in_a_pickle_is_refused_and_never_run(store, tmp_path, kind):
    trap, path = tmp_path / "trapped", tmp_path / "evil.pth"
    evil = {"w_a_000": _Evil(trap)}
    if kind == "torch.save":
        torch.save(evil, path)
    elif kind == "bare pickle":
        path.write_bytes(pickle.dumps(evil))
    else:
        _pickled(path, pickle.dumps(evil, protocol=int(kind[-1])))
    for attempt in (inspect_weights, lambda p: import_file(store, p), lambda p: import_file(store, p, "mine")):
        with pytest.raises(SAMedError, match=r"evil\.pth.*(run|may run) .*code"):
            attempt(path)
    assert not trap.exists()
    pickle.loads(pickle.dumps(_Evil(trap)))  # noqa: S301 - the trap does work
    assert trap.exists()


def test_a_downloaded_trap_is_thrown_away(tmp_path, monkeypatch):
    without_proxies(monkeypatch)
    trap = tmp_path / "trapped"
    evil = _pickled(tmp_path / "evil.pth", pickle.dumps(_Evil(trap), protocol=2), **{"archive/data/0": bytes(4000)})
    with running() as server:
        store = make_adapter_store(tmp_path, server, bytes=evil.stat().st_size)
        server.payload = evil.read_bytes()
        with pytest.raises(SAMedError, match="asks to run Python code"):
            acquire.download(store, "base", SILENT, QUICK)
    assert not [p for p in store.folder.iterdir() if not p.name.endswith(".lock")]
    assert not trap.exists()


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/data/0", bytes(50_000_000))
    with pytest.raises(SAMedError, match="unpacks to more"):
        inspect_weights(path)


def test_names_in_an_archive_are_never_paths(tmp_path):
    _pickled(tmp_path / "slip.pth", pickle.dumps({}, protocol=2), **{"archive/../../escaped": b"x"})
    found = inspect_weights(tmp_path / "slip.pth")
    assert found.kind is None
    assert not list(tmp_path.parent.rglob("escaped"))


@pytest.mark.parametrize("header", ["[]", "{", '{"a": 1}', '{"a": {"shape": [-1], "data_offsets": [0, 4]}}', "[" * 9000,
                                    '{"a": {"shape": [1], "dtype": "F32", "data_offsets": [0, 400]}}',
                                    '{"__metadata__": {"samed": "[]"}}', '{"__metadata__": 3}'])  # fmt: skip
def test_a_damaged_safetensors_header_ends_in_a_sentence(tmp_path, header):
    path = tmp_path / "bad.safetensors"
    padded = ("{" + header if not header.startswith("{") else header).encode()
    path.write_bytes(struct.pack("<Q", len(padded)) + padded + bytes(4))
    with pytest.raises(SAMedError, match="get it again"):
        inspect_weights(path)


def test_a_header_that_claims_to_be_huge_is_not_read(tmp_path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    with pytest.raises(SAMedError, match="cut off"):
        inspect_weights(path)


@pytest.mark.parametrize("cut", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_cut_off_file_ends_in_a_sentence(tmp_path, cut, suffix):
    path = tmp_path / f"whole{suffix}"
    tensors = {"w_a_000": torch.zeros(4, 1000)}
    torch.save(tensors, path) if suffix == ".pth" else save_file(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(SAMedError, match="whole"):
        inspect_weights(path)


def test_other_files_are_told_apart(tmp_path):
    torch.save({"model": {"a": torch.zeros(1)}, "epoch": 3}, tmp_path / "state.pt")
    with zipfile.ZipFile(tmp_path / "drive.zip", "w") as archive:
        archive.writestr("epoch_159.pth", b"")
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html>")
    torch.save({"a": torch.zeros(1)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name, words in {
        "state.pt": "plain state dict",
        "drive.zip": "unpack it",
        "page.pth": "web page",
        "old.pth": "old format",
    }.items():
        with pytest.raises(SAMedError, match=words):
            inspect_weights(tmp_path / name)


def test_the_golden_adapter_of_the_published_implementation_is_read(golden):
    found = inspect_weights(golden / "samed_w4_lora.pth")
    assert (found.layout, found.kind, found.rank, found.num_classes) == ("SAMed", "adapter", 4, 9)
    assert inspect_weights(golden / "samed_w4_base_sam_state.pth").kind == "base"


def test_the_shapes_of_a_pth_file_are_read_without_torch(tmp_path):
    layer = torch.nn.Linear(5, 3, bias=False)
    tensors = {
        "w_a_000": layer.weight,  # a parameter
        "view": torch.zeros(4, 6).t()[1:3],
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "nothing": torch.zeros(0, 7),
        **{str(dtype): torch.zeros(2, 1, dtype=dtype) for dtype in (torch.bool, torch.bfloat16, torch.int64)},
    }
    torch.save(tensors, tmp_path / "some.pth")
    torch.save(layer.state_dict(), tmp_path / "module.pth")
    code = "import sys\nfrom pathlib import Path\nfrom SAMedLib.weights import pickled, inspection\n"
    code += "for name in sys.argv[1:]: inspection.inspect_weights(Path(name)); print(pickled.read_shapes(Path(name)))\n"
    code += "assert 'torch' not in sys.modules"
    paths = [str(tmp_path / name) for name in ("some.pth", "module.pth")]
    ran = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    some, module = (ast.literal_eval(line) for line in ran.stdout.splitlines())
    assert some == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert module == {"weight": (3, 5)}


def test_a_pth_file_whose_numbers_are_cut_off_is_damaged(tmp_path):
    torch.save({"a": torch.zeros(100)}, tmp_path / "whole.pth")
    with zipfile.ZipFile(tmp_path / "whole.pth") as whole, zipfile.ZipFile(tmp_path / "cut.pth", "w") as cut:
        for name in whole.namelist():
            cut.writestr(name, whole.read(name)[:40] if name.endswith("data/0") else whole.read(name))
    with pytest.raises(SAMedError, match=r"cut\.pth is damaged"):
        inspect_weights(tmp_path / "cut.pth")
