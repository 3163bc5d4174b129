"""Names and shapes of the tensors in a .pth file, without torch.

Its pickle is read into stand-ins: whatever it names becomes one of the few harmless things below, or an error.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BYTES = {"Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2, "Char": 1, "Byte": 1}
_BYTES |= {"Bool": 1, "Untyped": 1}


class MoreThanTensors(Exception):
    """The file holds other things than named tensors."""


@dataclass(frozen=True)
class _Storage:
    """Numbers in the archive: how many there are."""

    count: int


@dataclass(frozen=True)
class _Tensor:
    shape: tuple[int, ...]


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name to shape, for a file that inspection.check_pth has let through.

    Raises:
        MoreThanTensors: if it holds something else.
        Exception: of any kind, if it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        program = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        folder = program.removesuffix("data.pkl") + "data/"
        content = _Reader(archive.read(program), folder, sizes).load()
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, _Tensor) for name, value in content.items()
    ):
        raise MoreThanTensors
    return {name: tensor.shape for name, tensor in content.items()}


class _Reader(pickle.Unpickler):
    def __init__(self, program: bytes, folder: str, sizes: dict[str, int]) -> None:
        super().__init__(io.BytesIO(program))
        self._folder, self._sizes = folder, sizes

    def find_class(self, module: str, name: str) -> Any:
        kind = name.removesuffix("Storage")
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module in ("torch", "torch.storage") and kind in _BYTES:
            return kind
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, count = pid
        if self._sizes[f"{self._folder}{key}"] < count * _BYTES[kind]:
            raise ValueError(f"the numbers of {key} are cut off")
        return _Storage(count)


def _tensor(storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any) -> _Tensor:
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if any(type(number) is not int or number < 0 for number in (offset, *shape, *strides)):
        raise ValueError("a size is no whole number")
    if all(shape) and last >= storage.count:
        raise ValueError("a tensor is larger than its numbers")
    return _Tensor(tuple(shape))


def _parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor
