"""Model files that are cut off, changed, made for something else, or programs that wait to be run."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load, save

from bad_input import Bad


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, call: Callable, *arguments: object) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def traps(canary: Path) -> dict[str, object]:
    """Objects that would create `canary` on being unpickled."""
    code = f"open({str(canary)!r}, 'w').close()"
    return {
        "os.system": Trap(os.system, f"touch '{canary}'"),
        "exec": Trap(exec, code),
        "eval": Trap(eval, code),
        "open": Trap(open, str(canary), "w"),
        "os.open": Trap(os.open, str(canary), os.O_CREAT),
        "Path.touch": Trap(Path.touch, canary),
    }


def write_trap(path: Path, trap: object, wrapping: str) -> Path:
    """A file that holds the trap: as torch saves it, as another pickle in its archive, or as a bare pickle."""
    content = {"w_a_000": trap}
    if wrapping == "torch.save":
        torch.save(content, path)
    elif wrapping == "old torch.save":
        torch.save(content, path, _use_new_zipfile_serialization=False)
    elif wrapping == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=int(wrapping[-1])))
            archive.writestr("archive/version", "3\n")
    return path


WRAPPINGS = ("torch.save", "old torch.save", "pickle", "protocol 0", "protocol 2", "protocol 4", "protocol 5")


def _write(name: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def header_length(content: bytes) -> int:
    return 8 + struct.unpack("<Q", content[:8])[0]


def cut(content: bytes, suffix: str) -> Iterator[Bad]:
    """A whole file's content, cut at many places."""
    size = len(content)
    places = {0, 1, 7, 8, 9, 30, 100, size // 8, size // 4, size // 2, 3 * size // 4, size - 100, size - 1}
    if suffix == ".safetensors":
        header = header_length(content)
        places |= {header - 1, header, header + 1, header // 2}
    for place in sorted(places):
        yield Bad(f"{suffix} cut after {place} bytes", _write(f"model{suffix}", content[:place]))


def flipped(content: bytes, suffix: str, count: int) -> Iterator[Bad]:
    """One bit changed in the header of a .safetensors, or in the directory of a .pth's archive."""
    chance = random.Random(0)
    size = len(content)
    low, high = (0, header_length(content)) if suffix == ".safetensors" else (size - 3000, size)
    for _ in range(count):
        place, bit = chance.randrange(low, high), chance.randrange(8)
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        yield Bad(f"{suffix} bit {bit} of byte {place}", _write(f"model{suffix}", bytes(changed)))


def wrong(content: bytes) -> Iterator[Bad]:
    """A whole .safetensors of ours, changed so that it fits nothing."""
    tensors = load(content)
    header = json.loads(content[8 : header_length(content)])
    metadata = json.loads(header["__metadata__"]["samed"])

    def described(**changes: object) -> bytes:
        return save(tensors, {"samed": json.dumps({**metadata, **changes})})

    def configured(**changes: object) -> bytes:
        return described(config={**metadata["config"], **changes})

    def encoder(**changes: object) -> bytes:
        return configured(encoder={**metadata["config"]["encoder"], **changes})

    def make(name: str, changed: bytes) -> Bad:
        return Bad(name, _write("model.safetensors", changed))

    yield make("no metadata", save(tensors))
    for text in ("", "{", "[]", "null", "3", '"text"', "{}", '{"format": 1}', '{"format": "x"}'):
        yield make(f"metadata {text!r}", save(tensors, {"samed": text}))
    yield make("a newer format", described(format=99))
    for name, value in (("config", None), ("config", {}), ("config", 3), ("label_set", None), ("label_set", {}),
                        ("label_set", {"name": "x", "labels": []}), ("window", [1]), ("window", [5, 5]),
                        ("window", ["a", "b"]), ("window", None), ("window", [float("nan"), 1]), ("orientation", "XYZ"),
                        ("orientation", None), ("base", 3), ("base", {}), ("provenance", 7)):  # fmt: skip
        yield make(f"{name} {value}", described(**{name: value}))
    for name, value in (("num_classes", 5), ("num_classes", 0), ("num_classes", -1), ("num_classes", "nine"),
                        ("num_classes", 10**9), ("image_size", 0), ("image_size", -64), ("image_size", 63),
                        ("image_size", 128), ("image_size", 10**8), ("image_size", None), ("slice_size", 0),
                        ("slice_size", -1), ("rank", 0), ("rank", -4), ("rank", "four"), ("lora_targets", ["z"]),
                        ("network", "gpt"), ("network", 3), ("encoder", None),
                        ("encoder_tuning", "some"), ("decoder_tuning", "some"), ("surprise", 1)):  # fmt: skip
        yield make(f"config {name} {value}", configured(**{name: value}))
    for name, value in (("embed_dim", 33), ("embed_dim", 64), ("embed_dim", 10**9), ("embed_dim", -32), ("depth", 0),
                        ("depth", 3), ("depth", 10**9), ("depth", -1), ("num_heads", 0), ("num_heads", 3),
                        ("num_heads", -2), ("window_size", -1), ("window_size", 10**9), ("window_size", "four"),
                        ("global_attn_indexes", [7]), ("global_attn_indexes", 1),
                        ("global_attn_indexes", None)):  # fmt: skip
        yield make(f"encoder {name} {value}", encoder(**{name: value}))
    kept = {"samed": header["__metadata__"]["samed"]}
    names = sorted(tensors)
    for name in (names[0], names[len(names) // 2], names[-1], "mask_decoder.mask_tokens.weight"):
        yield make(f"without {name}", save({n: t for n, t in tensors.items() if n != name}, kept))
        grown = torch.zeros((*tensors[name].shape, 2))
        yield make(f"another shape of {name}", save({**tensors, name: grown}, kept))
        for value in (float("nan"), float("inf")):
            yield make(f"{name} full of {value}", save({**tensors, name: torch.full_like(tensors[name], value)}, kept))
    yield make("no tensors", save({}, kept))
    yield make("other tensors", save({"weight": torch.zeros(3)}, kept))
    plain = {name: tensor for name, tensor in tensors.items() if not name.startswith("image_encoder.")}
    yield make("without its encoder and base", save(plain, kept))
    fewer = {**tensors, "mask_decoder.mask_tokens.weight": tensors["mask_decoder.mask_tokens.weight"][:4].clone()}
    yield make("fewer classes than it says", save(fewer, kept))


def others() -> Iterator[Bad]:
    """Files of other kinds under a model's name."""

    def state(folder: Path, content: object) -> Path:
        torch.save(content, folder / "model.pth")
        return folder / "model.pth"

    contents = {
        "a list": [torch.zeros(2)],
        "a tensor": torch.zeros(2),
        "a training state": {"model": {"a": torch.zeros(1)}, "epoch": 3},
        "a number": 3,
        "nothing": {},
        "unknown tensors": {"weight": torch.zeros(3)},
        "half an adapter": {"w_a_000": torch.zeros(4, 768)},
        "LoRA of one dimension": {"w_a_000": torch.zeros(4), "mask_decoder.mask_tokens.weight": torch.zeros(9, 256)},
        "an adapter of no known size": {
            "w_a_000": torch.zeros(4, 7),
            "mask_decoder.mask_tokens.weight": torch.zeros(9, 256),
        },
    }
    for name, content in contents.items():
        yield Bad(f".pth of {name}", partial(state, content=content))
    for suffix in (".pth", ".pt", ".safetensors"):
        for what, content in {
            "nothing": b"",
            "text": b"weights\n" * 50,
            "a web page": b"<!DOCTYPE html><html></html>",
            "noise": random.Random(1).randbytes(3000),
            "an empty archive": b"PK\x05\x06" + bytes(18),
        }.items():
            yield Bad(f"{what} as {suffix}", _write(f"model{suffix}", content))
