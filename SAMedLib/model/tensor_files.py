"""Files of tensors: .safetensors with our metadata, and the .pth of others.

Nothing in a file is ever executed: .pth files are checked as data first, then read with weights_only=True.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from SAMedLib.errors import SAMedError
from SAMedLib.files import write_then_rename
from SAMedLib.model.metadata import ModelMetadata
from SAMedLib.weights.inspection import check_pth

METADATA_KEY = "samed"
_OF_WHOLE_NETWORKS = ("image_encoder.", "network.")  # SAMed's encoder, and everything of the others


def read_tensors(path: Path) -> tuple[dict[str, Tensor], ModelMetadata | None]:
    """All tensors of a model file, on the CPU, and its metadata if it is one of ours.

    They are mapped into memory: changing them changes no file, and the file stays open for as long as one is referred
    to.

    Raises:
        SAMedError: if the file is missing, damaged, holds code or something else than a flat dictionary of tensors.
    """
    if not path.is_file():
        raise SAMedError(f"There is no model file {path}; check the path.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in (".pth", ".pt"):
        return _read_pickled(path), None
    raise SAMedError(f"{path} is not a model file; use .safetensors, or .pth for the published layout.")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], ModelMetadata | None]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get(METADATA_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
        _check_numbers(path, tensors)
        return tensors, None if header is None else ModelMetadata.from_json(json.loads(header))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise SAMedError(
            f"{path} is damaged or not a safetensors file ({error}); download or copy it again."
        ) from error
    except SAMedError as error:
        raise SAMedError(f"{path}: {error}") from error


def _read_pickled(path: Path) -> dict[str, Tensor]:
    check_pth(path)
    try:
        # mapped: what is read of the file is what is used of it, and no copy lies beside it in memory
        state = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError) as error:
        raise SAMedError(f"{path} is damaged or not a PyTorch file; download or copy it again.") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SAMedError(f"{path} is not a state dict (a flat dictionary of tensors); export it as one.")
    _check_numbers(path, state)
    return {str(name): value for name, value in state.items()}


def _check_numbers(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite: a network with them finds nothing, and says nothing of it."""
    for name, tensor in tensors.items():
        # a sum is not finite if one value is not, and quick; of finite values it may overflow
        if tensor.is_floating_point() and not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
            raise SAMedError(f"{path} is damaged: {name} holds values that are no numbers; get the file again.")


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: ModelMetadata, dtype: torch.dtype | None = None
) -> None:
    """Write a model file; only .safetensors holds the metadata.

    Args:
        dtype: store floating-point tensors like this, None as they are.

    Raises:
        SAMedError: if the ending is unknown.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if dtype is not None:
        state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in state.items()}
    with write_then_rename(path) as temporary:
        if path.suffix == ".safetensors":
            save_file(state, temporary, metadata={METADATA_KEY: json.dumps(metadata.to_json(), sort_keys=True)})
        elif path.suffix in (".pth", ".pt"):
            torch.save(state, temporary)
        else:
            raise SAMedError(f"{path} has no known ending; save an adapter as .safetensors or .pth.")


def is_complete(state: Mapping[str, Tensor]) -> bool:
    """Whether a file holds the whole network, so that no base is needed."""
    return any(name.startswith(_OF_WHOLE_NETWORKS) for name in state)


@torch.no_grad()
def assign(targets: Mapping[str, Tensor], values: Mapping[str, Tensor], keep_mapped: bool = False) -> None:
    """Copy values into the tensors of the same name, or with `keep_mapped` let these use the values' memory."""
    for name, value in values.items():
        if keep_mapped:
            targets[name].data = value.to(targets[name].dtype).contiguous()
        else:
            targets[name].copy_(value)


def shape_text(tensor: Tensor) -> str:
    return " x ".join(str(side) for side in tensor.shape)
