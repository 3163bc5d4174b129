"""What weights exist: `registry.json`, read and checked.

Files are what lies on disk (a SAM base, an adapter); models are what a user asks for (an adapter and the base under
it). A second registry named by SAMED_REGISTRY adds entries, or replaces entries of the same name: a hospital's own
mirror, a group's own models.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from SAMedLib.errors import SAMedError
from SAMedLib.json_files import read_json

REGISTRY = Path(__file__).with_name("registry.json")
VERSION = 1
KINDS = ("base", "adapter")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
# torch.save stores the archive's name with every tensor, and more or less padding from version to version
SIZE_TOLERANCE = 0.02

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class FileEntry:
    """One weights file.

    Attributes:
        name: short name, for example "vit_b".
        filename: its name on disk, in the weights folder (or in the package, for `packaged` files).
        kind: "base" (SAM) or "adapter" (LoRA and decoder, or a whole small model).
        license: SPDX name.
        project: page of its authors.
        url: direct download, https; None where there is none.
        page: the address for a browser, where it differs from `url`.
        bytes: its size; exact where `sha256` is known, else within SIZE_TOLERANCE.
        sha256: published digest; None where the authors give none.
        structure: what its tensors must be (see inspection.Inspection), for files without a digest.
        packaged: comes with SAMedLib.
    """

    name: str
    filename: str
    kind: str
    description: str
    license: str
    project: str | None = None
    url: str | None = None
    page: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    structure: Mapping[str, object] = field(default_factory=dict)
    packaged: bool = False

    @property
    def browser_address(self) -> str | None:
        return self.page or self.url

    @property
    def largest(self) -> int | None:
        """No copy of this file has more bytes."""
        if self.bytes is None or self.sha256:
            return self.bytes
        return int(self.bytes * (1 + SIZE_TOLERANCE))

    @property
    def smallest(self) -> int:
        """No copy of this file has fewer bytes."""
        if self.bytes is None:
            return 1
        return self.bytes if self.sha256 else int(self.bytes * (1 - SIZE_TOLERANCE))

    def size_fits(self, size: int) -> bool:
        return self.smallest <= size and (self.largest is None or size <= self.largest)


@dataclass(frozen=True)
class ModelEntry:
    """One model.

    Attributes:
        name: what users type, for example "samed-vit-b-synapse".
        adapter: name of its adapter file.
        base: name of the SAM base under it; None if the adapter file holds the whole model.
        label_set: name of its label set; None where only the file itself says (models that users add).
        demonstration: shows how things work; not for patients.
        title: what a list shows instead of the name.
        trained: on what, and how well it does, for files that do not say so themselves.
    """

    name: str
    adapter: str
    description: str
    base: str | None = None
    label_set: str | None = None
    demonstration: bool = False
    title: str | None = None
    trained: str | None = None


@dataclass(frozen=True)
class Registry:
    files: Mapping[str, FileEntry]
    models: Mapping[str, ModelEntry]

    def find_file(self, name: str) -> FileEntry | None:
        """The file with this name or file name."""
        return self.files.get(name) or next((f for f in self.files.values() if f.filename == name), None)

    def find_digest(self, sha256: str) -> FileEntry | None:
        return next((f for f in self.files.values() if f.sha256 == sha256), None)


def load_registry(*paths: Path) -> Registry:
    """Read registries, later ones on top; without `paths`, the packaged one and the one in SAMED_REGISTRY.

    Raises:
        SAMedError: naming the file, the entry and what is wrong with it.
    """
    if not paths:
        own = os.environ.get("SAMED_REGISTRY")
        paths = (REGISTRY, Path(own).expanduser()) if own else (REGISTRY,)
    files: dict[str, FileEntry] = {}
    models: dict[str, ModelEntry] = {}
    for path in paths:
        data = _read(path)
        files |= {name: _file(path, name, entry) for name, entry in _section(path, data, "files").items()}
        models |= {name: _model(path, name, entry) for name, entry in _section(path, data, "models").items()}
        _check_references(path, files, models)
    return Registry(files, models)


def is_allowed_url(url: str, allow_loopback: bool = True) -> bool:
    """https anywhere; plain http only to this very computer, where nothing travels."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return allow_loopback and parts.scheme == "http" and host in LOOPBACK


def is_name(text: str) -> bool:
    """Whether `text` can name a file or a model on every system: no separators, no leading dot or dash."""
    return bool(_NAME.fullmatch(text)) and not text.endswith(".")


def _read(path: Path) -> dict:
    try:
        data = read_json(path)
    except OSError as error:
        raise SAMedError(
            f"The weights registry {path} cannot be read: {error.strerror or error}; correct SAMED_REGISTRY."
        ) from error
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise SAMedError(f'The weights registry {path} is of another kind; it must say "version": {VERSION}.')
    if unknown := sorted(set(data) - {"version", "files", "models"}):
        raise SAMedError(f"The weights registry {path} has the unknown section {unknown[0]!r}.")
    return data


def _section(path: Path, data: dict, name: str) -> dict:
    section = data.get(name, {})
    if not isinstance(section, dict) or not all(isinstance(entry, dict) for entry in section.values()):
        raise SAMedError(f"In the weights registry {path}, {name!r} must map names to entries.")
    return section


def _build(cls, path: Path, name: str, entry: dict):
    """An entry from JSON, its fields checked against the dataclass."""

    def fail(what: str) -> SAMedError:
        return SAMedError(f"In the weights registry {path}, {name!r} {what}.")

    if not is_name(name):
        raise fail("is no usable name; use letters, digits, '.', '_' and '-'")
    known = {f.name: f for f in fields(cls) if f.name != "name"}
    if unknown := sorted(set(entry) - set(known)):
        raise fail(f"has the unknown field {unknown[0]!r}")
    for key, spec in known.items():
        required = spec.default is MISSING and spec.default_factory is MISSING
        if key not in entry and required:
            raise fail(f"lacks {key!r}")
        expected = {"bytes": int, "packaged": bool, "demonstration": bool, "structure": dict}.get(key, str)
        if key in entry and type(entry[key]) is not expected:
            raise fail(f"has {key} = {entry[key]!r}, which is no {expected.__name__}")
    return cls(name=name, **entry), fail


def _file(path: Path, name: str, entry: dict) -> FileEntry:
    file, fail = _build(FileEntry, path, name, entry)
    if not is_name(file.filename):
        raise fail(f"has the file name {file.filename!r}, which is no plain file name")
    if file.kind not in KINDS:
        raise fail(f"is of kind {file.kind!r}; choose from {', '.join(KINDS)}")
    if file.packaged and file.url:
        raise fail("is packaged and has a url; it can be only one of them")
    for address in filter(None, (file.url, file.page)):
        if not is_allowed_url(address):
            raise fail(f"has the address {address}, which is not https")
    if file.url and (file.bytes is None or not (file.sha256 or file.structure)):
        raise fail("has a url and needs 'bytes', and 'sha256' or 'structure' to check the download against")
    if file.bytes is not None and file.bytes <= 0:
        raise fail(f"has bytes = {file.bytes}, which must be positive")
    if file.sha256 and not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
        raise fail("has a sha256 that is not 64 small hexadecimal digits")
    return file


def _model(path: Path, name: str, entry: dict) -> ModelEntry:
    return _build(ModelEntry, path, name, entry)[0]


def _check_references(path: Path, files: dict[str, FileEntry], models: dict[str, ModelEntry]) -> None:
    for model in models.values():
        for reference, kind in ((model.adapter, "adapter"), (model.base, "base")):
            if reference is not None and (reference not in files or files[reference].kind != kind):
                raise SAMedError(f"In the weights registry {path}, {model.name!r} names no {kind} file: {reference!r}.")
    filenames = [file.filename for file in files.values()]
    names = [*files, *models, *(f for f in filenames if f not in files)]
    for twice in (n for source in (names, filenames) for n in source if source.count(n) > 1):
        raise SAMedError(f"In the weights registry {path}, the name {twice!r} is used twice.")
