"""The file that makes a resume exact.

Order and augmentation of the data are functions of the seed and the step (see Batches), so the step is all there is to
know about random numbers.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from SAMedLib.errors import SAMedError
from SAMedLib.files import write_then_rename
from SAMedLib.model import Network
from SAMedLib.weights.inspection import check_pth

FORMAT_VERSION = 1
_CONTENT = {"step", "closed_at", "best_dice", "measured", "weights", "optimizer", "precision", "average"}


def save_state(path: Path, state: dict[str, Any]) -> None:
    with write_then_rename(path) as temporary:
        torch.save({"format": FORMAT_VERSION, **state}, temporary)


def load_state(path: Path) -> dict[str, Any]:
    """On the CPU. Raises SAMedError if the file is missing, damaged or of a newer version."""
    if not path.is_file():
        raise SAMedError(f"{path} is missing, so the run cannot go on; start a new one with --start {path.parent}.")
    try:
        check_pth(path)
    except SAMedError as error:
        problem = str(error).partition(";")[0].rstrip(".")
        raise SAMedError(f"{problem}; start a new run with --start {path.parent}.") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        version = state["format"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError) as error:
        raise SAMedError(f"{path} is damaged; start a new run with --start {path.parent}.") from error
    if missing := _CONTENT - state.keys():
        raise SAMedError(f"{path} is damaged (no {min(missing)}); start a new run with --start {path.parent}.")
    if version != FORMAT_VERSION:
        raise SAMedError(
            f"{path} has format {version}, this software knows {FORMAT_VERSION}; use the SAMedLib that wrote it."
        )
    return state


def changing_weights(model: Network) -> dict[str, Tensor]:
    """All tensors of the model, by reference, except what comes from the base and stays as it is."""
    frozen = model.tensors_of_base()
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}
