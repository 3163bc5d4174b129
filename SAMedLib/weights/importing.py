"""Bringing a file into the weights folder from elsewhere on this computer: recognised, copied, checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.files import naming_a_full_disk, working_folder
from SAMedLib.weights import acquire, records
from SAMedLib.weights.registry import FileEntry, is_name

if TYPE_CHECKING:
    from SAMedLib.weights.inspection import Inspection
    from SAMedLib.weights.store import Store

_BLOCK = 2**20


def import_file(store: Store, source: Path, name: str | None = None, report: Reporter = SILENT) -> Path:
    """Copy a weights file into the weights folder; `source` stays as it is.

    A published file is recognised by its SHA-256, a published adapter (which has no published digest) by its structure.
    Any other adapter becomes a model of its own, called `name`, or as the file is.

    Args:
        name: of a registry file or model that this is to be, or a new name.

    Returns:
        the file in the weights folder.

    Raises:
        SAMedError: if the file is no weights file, is not what `name` says, or the name is taken by another file.
        Cancelled: if the user asked to stop; nothing is left behind.
    """
    source = Path(source)
    if not source.is_file():
        raise SAMedError(f"{source} is not a file; give the path of a .pth or .safetensors file.")
    entry = _named_entry(store, name)
    size = source.stat().st_size
    if entry and not entry.size_fits(size):
        records.check_content(source, entry, "")
    acquire.make_folder(store.models_folder)
    acquire.require_space(size, f"Importing {source.name}", store.folder)
    with working_folder(store.folder) as folder, naming_a_full_disk(store.folder / source.name):
        copy = folder / "copy"
        digest = _copy(source, copy, report)
        found = None
        if entry is None and name is None:
            entry = store.registry.find_digest(digest)
        if entry is None:
            found = _inspect(source, copy)
            if name is None:
                entry = _published_like(store, found, size)
                if entry:
                    report.note(
                        f"{source.name} is built like {entry.filename}, which has no published digest, and was taken "
                        f"for it; if it is a model of your own, remove {entry.name} and import the file with --name."
                    )
        if entry:
            _check(source, copy, entry, digest)
            target, base = store.path_of(entry), None
        else:
            target, base = _own_target(store, source, name, found), store.base_of(found)
        with acquire.only_one(target, report):
            if not _is_there(target, entry, digest):
                acquire.put_in_place(copy, target)
            records.write_record(target, digest, base)
            for leftover in acquire.leftovers(target):
                leftover.unlink(missing_ok=True)
    return target


def _named_entry(store: Store, name: str | None) -> FileEntry | None:
    """The registry file that `name` means; None for a new name."""
    if name is None:
        return None
    model = store.registry.models.get(name)
    entry = store.registry.find_file(model.adapter if model else name)
    if entry and entry.packaged:
        raise SAMedError(f"{name} comes with SAMedLib and cannot be replaced; choose another name.")
    return entry


def _copy(source: Path, target: Path, report: Reporter) -> str:
    """Copy and hash in one pass, so that what was checked is what is kept."""
    digest = hashlib.sha256()
    size = source.stat().st_size
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while block := reader.read(_BLOCK):
            digest.update(block)
            writer.write(block)
            report.progress(f"importing {source.name}", reader.tell(), size)
    return digest.hexdigest()


def _inspect(source: Path, copy: Path) -> Inspection:
    from SAMedLib.weights.inspection import inspect_weights

    try:
        found = inspect_weights(copy)
    except SAMedError as error:
        raise SAMedError(str(error).replace(str(copy), str(source))) from error
    if found.kind == "base":
        raise SAMedError(
            f"{source} is a SAM base, but none of the published files; give it by its path with --base where it is "
            f"needed."
        )
    if found.kind is None:
        raise SAMedError(f"{source} holds {found.tensors} tensors that are neither an adapter nor a SAM base.")
    return found


def _published_like(store: Store, found: Inspection, size: int) -> FileEntry | None:
    for entry in store.registry.files.values():
        same = entry.structure and all(getattr(found, what, None) == value for what, value in entry.structure.items())
        if same and not entry.sha256 and entry.size_fits(size):
            return entry
    return None


def _check(source: Path, copy: Path, entry: FileEntry, digest: str) -> None:
    try:
        records.check_content(copy, entry, digest)
    except SAMedError as error:
        said = str(error).replace(str(copy), str(source)).rstrip(".")
        raise SAMedError(f"{said}; nothing was imported.") from error


def _own_target(store: Store, source: Path, name: str | None, found: Inspection) -> Path:
    stem = source.stem if name is None else name
    if not is_name(stem):
        raise SAMedError(f"{stem!r} cannot be a model's name; give one of letters, digits, '.', '_', '-' with --name.")
    if stem in store.registry.models or store.registry.find_file(stem):
        raise SAMedError(f"The name {stem!r} is taken by the registry; give another one with --name.")
    path = store.own_models().get(stem)
    return path if path else store.models_folder / f"{stem}.{found.format}"


def _is_there(target: Path, entry: FileEntry | None, digest: str) -> bool:
    """Whether the same file is there already; SAMedError if another one is that may be somebody's."""
    if not target.is_file():
        return False
    if records.sha256_of(target) == digest:
        return True
    if entry and entry.sha256:  # what is there cannot be right
        return False
    raise SAMedError(
        f"{target} is there already and differs; remove it with 'samed weights remove {target.stem}', or import under "
        f"another name with --name."
    )
