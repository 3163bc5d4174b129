"""How large a network is, by the name of a size or from a file that describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError
from SAMedLib.json_files import read_json
from SAMedLib.model.config import DecoderConfig, EncoderConfig, SAMedConfig, from_fields
from SAMedLib.model.networks import NetworkConfig
from SAMedLib.training.options import MODEL_SIZES


def size_fields(kind: type[NetworkConfig], size: str) -> dict[str, Any]:
    """Fields of a configuration that make the network's size.

    Args:
        size: of SAMed a name, or a .json: {"encoder": ..., "decoder": ...} with the fields of their configurations for
            SAMed, and for any other network an entry with its name, {"unet": {"channels": [16, 32, 64, 128, 256]}}.
            One file may have all of these.

    Raises:
        SAMedError: if there is no such size, or the file does not describe the network.
    """
    if kind is SAMedConfig and size in MODEL_SIZES:
        if size == "tiny":
            return {"encoder": EncoderConfig.tiny(), "decoder": DecoderConfig.tiny()}
        return {"encoder": getattr(EncoderConfig, size)(), "decoder": DecoderConfig()}
    path = Path(size)
    if path.suffix != ".json":
        remedy = f"choose from {', '.join(MODEL_SIZES)}, or give" if kind is SAMedConfig else f"for {kind.title} give"
        raise SAMedError(f"There is no model size called {size!r}; {remedy} a .json.")
    return _of_samed(path) if kind is SAMedConfig else _of_other(kind, path)


def _of_samed(path: Path) -> dict[str, Any]:
    try:
        parts = _read(path)
        return {"encoder": EncoderConfig(**parts["encoder"]), "decoder": DecoderConfig(**parts["decoder"])}
    except (KeyError, TypeError) as error:
        raise SAMedError(
            f'{path} does not describe a network; it needs "encoder" and "decoder", objects with the sizes of each.'
        ) from error


def _of_other(kind: type[NetworkConfig], path: Path) -> dict[str, Any]:
    content = _read(path)
    fields = content.get(kind.network) if isinstance(content, dict) else None
    if not isinstance(fields, dict):
        raise SAMedError(f'{path} does not describe a {kind.title}; it needs an entry "{kind.network}" with its sizes.')
    try:
        sized = from_fields(kind, fields)
    except SAMedError as error:
        raise SAMedError(f"{path}: {error}") from error
    return {name: getattr(sized, name) for name in fields}


def _read(path: Path) -> Any:
    return read_json(path, "write an object with the sizes of a network")
