"""What a weights file says about itself, read without running anything that is in it.

A .pth file is a zip archive around a pickle, and a pickle is a program. Before torch sees one, its opcodes are read
here as data: anything that tensors do not need is refused. (torch.load(weights_only=True) refuses it too, but had
holes before torch 2.6, all of them in the old formats that are refused here.)
"""

from __future__ import annotations

import json
import math
import pickletools
import re
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError
from SAMedLib.model.config import SAMedConfig
from SAMedLib.model.networks import NETWORKS
from SAMedLib.weights.pickled import MoreThanTensors, read_shapes

# width and depth of the image encoder (segment_anything/build_sam.py)
ENCODERS = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}

_LORA_A = re.compile(r"^w_a_\d{3}$|^network\..*\.a\.[qkvo]$")  # of SAMed, and of the networks beside it
_LARGEST_HEADER = 64 * 2**20
_SAFE_GLOBALS = re.compile(
    r"collections OrderedDict"
    r"|torch\._utils _rebuild_(tensor_v2|parameter)"
    r"|torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
    r"|torch\.storage UntypedStorage"
)
_UNSAFE_OPCODES = ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4")


@dataclass(frozen=True)
class Inspection:
    """A weights file, described.

    Attributes:
        format: "safetensors" or "pth".
        layout: "SAMed" and "SAMed_s" (the published adapters), "SAM" (a base), "SAMedLib" (ours, with metadata),
            None if it is none of these.
        encoder_size: width and depth of the image encoder that the file belongs to, None if it does not tell.
        network: for people, "SAMed" or one of those beside it; None if it does not tell.
        complete: holds the whole network, so that no base is needed.
        rank: LoRA rank, None if there is no LoRA.
        num_classes: background included, None for a base.
        tensors, parameters: how many.
        metadata: what a file of ours says about itself.
    """

    format: str
    layout: str | None
    tensors: int
    parameters: int
    encoder_size: tuple[int, int] | None = None
    network: str | None = None
    complete: bool = False
    rank: int | None = None
    num_classes: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str | None:
        """As in the registry: "base", "adapter", or None."""
        return None if self.layout is None else "base" if self.layout == "SAM" else "adapter"

    @property
    def encoder(self) -> str | None:
        """ "vit_b", "vit_l", "vit_h", None for other sizes."""
        return ENCODERS.get(self.encoder_size)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "kind": self.kind, "encoder": self.encoder}


def inspect_weights(path: Path) -> Inspection:
    """Describe a .safetensors or .pth file; its content decides, not its name.

    Raises:
        SAMedError: if it is neither, damaged, or holds more than tensors.
    """
    path = Path(path)
    with open(path, "rb") as handle:
        magic = handle.read(10)
    if magic[8:9] == b"{":
        shapes, metadata = read_safetensors_header(path)
        return describe("safetensors", shapes, metadata)
    check_pth(path)
    return describe("pth", _pth_shapes(path), {})


def read_safetensors_header(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Shapes of a safetensors file's tensors, and its `samed` metadata ({} if it has none).

    Raises:
        SAMedError: if the header is damaged, or does not fit the file.
    """
    size = path.stat().st_size
    with open(path, "rb") as handle:
        prefix = handle.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else 0
        if not 0 < length <= min(_LARGEST_HEADER, size - 8):
            raise SAMedError(f"{path} is not a safetensors file, or it was cut off; get it again.")
        header = handle.read(length)
    try:
        entries = json.loads(header)
        texts = entries.pop("__metadata__", {})
        shapes = {name: tuple(_whole(n) for n in entry["shape"]) for name, entry in entries.items()}
        end = max((_whole(entry["data_offsets"][1]) for entry in entries.values()), default=0)
        metadata = json.loads(texts.get("samed", "{}"))
        if not isinstance(metadata, dict):
            raise TypeError("the samed metadata is no JSON object")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise SAMedError(f"{path} has a damaged safetensors header ({error}); get it again.") from error
    if 8 + length + end != size:
        raise SAMedError(f"{path} has {size} bytes where its header tells of {8 + length + end}; get it again.")
    return shapes, metadata


def check_pth(path: Path) -> None:
    """Make sure that a .pth file holds tensors and nothing that runs or unpacks to more than it is.

    Raises:
        SAMedError: saying which.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            pickles = [entry for entry in entries if entry.filename.endswith("data.pkl")]
            if len(pickles) != 1:
                if entries and not pickles:
                    raise SAMedError(f"{path} is a zip archive of other files; unpack it and take the .pth inside.")
                raise SAMedError(f"{path} is not a PyTorch weights file; get it again.")
            compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            if compressed or sum(entry.file_size for entry in entries) > path.stat().st_size:
                raise SAMedError(
                    f"{path} unpacks to more than it holds, as weights files never do; it was refused, get it again."
                )
            if pickles[0].file_size > _LARGEST_HEADER:
                raise SAMedError(
                    f"{path} describes its tensors in {pickles[0].file_size} bytes; it was refused, get it again."
                )
            program = archive.read(pickles[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise SAMedError(_not_a_pth(path)) from error
    _check_pickle(path, program)


def _check_pickle(path: Path, program: bytes) -> None:
    try:
        for opcode, argument, _ in pickletools.genops(program):
            foreign = opcode.name == "GLOBAL" and not _SAFE_GLOBALS.fullmatch(argument)
            if foreign or opcode.name in _UNSAFE_OPCODES:
                asked = f" ({argument.replace(' ', '.')})" if foreign else ""
                raise SAMedError(
                    f"{path} asks to run Python code{asked} when it is opened, which weights never need; it was "
                    f"refused and nothing was run."
                )
    except ValueError as error:
        raise SAMedError(f"{path} is damaged; get it again.") from error


def _not_a_pth(path: Path) -> str:
    with open(path, "rb") as handle:
        start = handle.read(64)
    if start.lstrip().startswith(b"<"):
        return f"{path} is a web page that was saved under this name; download the file itself."
    if start.startswith(b"\x80"):
        return f"{path} is a bare pickle or in PyTorch's old format, which may run code; save it anew with torch.save."
    if start.startswith(b"PK"):
        return f"{path} is damaged or was cut off; get it again."
    return f"{path} is not a weights file; give a .safetensors or .pth file."


def _pth_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        return read_shapes(path)
    except MoreThanTensors as error:
        raise SAMedError(
            f"{path} holds more than named tensors (a training state?); give a plain state dict."
        ) from error
    except Exception as error:  # unpickling what is damaged raises anything
        raise SAMedError(f"{path} is damaged and cannot be read; get it again.") from error


def describe(format: str, shapes: Mapping[str, tuple[int, ...]], metadata: Mapping[str, Any]) -> Inspection:
    """What these tensors are, by their names and shapes (reference: sam_lora_image_encoder.py of SAMed)."""
    tokens = shapes.get("mask_decoder.mask_tokens.weight")
    lora = [shape for name, shape in shapes.items() if _LORA_A.search(name) and len(shape) == 2]
    position = shapes.get("image_encoder.pos_embed", ())
    blocks = [name for name in shapes if re.fullmatch(r"image_encoder\.blocks\.\d+\.norm1\.weight", name)]
    if metadata:
        layout, size = "SAMedLib", _configured_size(metadata)
    elif lora:  # two pairs of factors in each block: q and v
        layout, size = ("SAMed_s" if "sa_a_000" in shapes else "SAMed"), (lora[0][1], len(lora) // 2)
    elif len(position) == 4:
        layout, size = "SAM", (position[3], len(blocks))
    else:
        layout, size = None, None
    config = _configuration(metadata)
    network = NETWORKS.get(str(config.get("network", SAMedConfig.network))) if config else None
    return Inspection(
        format=format,
        layout=layout,
        tensors=len(shapes),
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        encoder_size=size,
        network=network.title if network else None,
        complete=bool(position) or any(name.startswith("network.") for name in shapes),
        rank=lora[0][0] if lora else None,
        num_classes=config.get("num_classes") or (tokens[0] if tokens and layout != "SAM" else None),
        metadata=metadata,
    )


def _configuration(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    config = metadata.get("config")
    return config if isinstance(config, dict) else {}


def _configured_size(metadata: Mapping[str, Any]) -> tuple[int, int] | None:
    try:
        encoder = metadata["config"]["encoder"]
        return int(encoder["embed_dim"]), int(encoder["depth"])
    except (KeyError, TypeError, ValueError):
        return None


def _whole(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no size")
    return number
