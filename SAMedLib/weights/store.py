"""Where weights lie on this computer, and how they get there.

One folder (SAMED_HOME, or the platform's cache folder) holds the registry's files under their own names; its `models`
folder holds models that users add. A file put there by hand is as good as a downloaded one: it is recognised by its
name and checked before its first use. Nothing here needs torch.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.weights import acquire, records
from SAMedLib.weights.acquire import human_size, leftovers, only_one, part_path
from SAMedLib.weights.registry import FileEntry, ModelEntry, Registry, is_name, load_registry

if TYPE_CHECKING:
    from SAMedLib.model.metadata import ModelMetadata
    from SAMedLib.weights.inspection import Inspection

ADAPTER_SUFFIXES = (".safetensors", ".pth")


@dataclass(frozen=True)
class CachedFile:
    """One weights file of the registry or the weights folder.

    Attributes:
        name: registry name, or the file's name.
        path: where it is, or would be.
        size: bytes on disk; 0 if absent.
        state: "ready" (checked), "unchecked" (checked before its first use), "wrong" (another file under this name),
            "partial" (a download that can go on), "absent", "unknown" (no weights that the registry knows).
        entry: what the registry knows, None for files that users add.
    """

    name: str
    path: Path
    size: int
    state: str
    entry: FileEntry | None = None


class Store:
    """The weights on this computer.

    Args:
        folder: the weights folder; made when something is put there.
        registry: what exists; None for load_registry()'s.
    """

    def __init__(self, folder: Path, registry: Registry | None = None) -> None:
        self.folder = folder
        self.models_folder = folder / "models"
        self.registry = registry or load_registry()

    def path_of(self, entry: FileEntry) -> Path:
        if entry.packaged:
            return Path(__file__).with_name(entry.filename)
        return self.folder / entry.filename

    def find_entry(self, name: str) -> FileEntry:
        """The registry's file called `name`; SAMedError lists what exists."""
        if entry := self.registry.find_file(name):
            return entry
        raise SAMedError(
            f"There is no weights file called {name!r}; choose one of {', '.join(sorted(self.registry.files))}."
        )

    def own_models(self) -> dict[str, Path]:
        """Models that users added: name -> file."""
        if not self.models_folder.is_dir():
            return {}
        files = sorted(p for p in self.models_folder.iterdir() if p.suffix in ADAPTER_SUFFIXES and p.is_file())
        return {path.stem: path for path in files}

    def model_names(self) -> list[str]:
        return [*self.registry.models, *sorted(set(self.own_models()) - set(self.registry.models))]

    def model_entry(self, name: str) -> ModelEntry:
        """What the model called `name` consists of; SAMedError lists what exists."""
        if entry := self.registry.models.get(name):
            return entry
        if path := self.own_models().get(name):
            base = self._checked_own(path, SILENT).base
            return ModelEntry(name=name, adapter=path.name, base=base, description=f"Added by hand: {path.name}")
        raise SAMedError(f"There is no model called {name!r}; choose from {', '.join(self.model_names())}.")

    def locate(self, name: str, report: Reporter = SILENT) -> Path:
        """The local, verified file called `name` (a registry file, or a model file that users added).

        The first call for a new file reads all of it; later ones compare size and time only.

        Raises:
            SAMedError: that says how to get the file, or what is wrong with the one that is there.
        """
        entry = self.registry.find_file(name)
        if entry is None:
            own = {path.name: path for path in self.own_models().values()}
            if name not in own:
                self.find_entry(name)
            self._checked_own(own[name], report)
            return own[name]
        path = self.path_of(entry)
        if path.is_file():
            self._checked(path, entry, report)
            return path
        if entry.packaged:
            raise SAMedError(f"{path} is missing from this installation; install SAMedLib again.")
        if entry.url is None:
            raise SAMedError(f"{entry.filename} is not on this computer and has no download; {self.by_hand(entry)}.")
        raise SAMedError(
            f"{entry.filename} is not on this computer; get it with 'samed weights download {entry.name}' "
            f"({human_size(entry.bytes)}), or, without internet here, {self.by_hand(entry)}."
        )

    def by_hand(self, entry: FileEntry) -> str:
        """How to bring a file without a download, as a clause of a sentence."""
        where = f"run 'samed weights import FILE --name {entry.name}' or put it at {self.path_of(entry)}"
        if entry.browser_address:
            return f"fetch {entry.browser_address} with a browser on any computer, then {where}"
        return f"copy it from where it is, then {where}"

    def locate_base(self, metadata: ModelMetadata, adapter: Path | None = None) -> Path:
        """The SAM base that an adapter needs: by digest, by name, or by the size of its encoder.

        Args:
            adapter: the file, for messages.

        Raises:
            SAMedError: that says how to get it.
        """
        base = metadata.base
        name = self.base_name(
            base.name if base else None,
            base.sha256 if base else None,
            (metadata.config.encoder.embed_dim, metadata.config.encoder.depth),
        )
        if name:
            return self.locate(name)
        asker = adapter or "The adapter"
        if base is None:
            raise SAMedError(f"{asker} neither holds an image encoder nor names its SAM base; give that with --base.")
        by_hand = self.folder / base.name
        if is_name(base.name) and by_hand.is_file() and records.sha256_of(by_hand) == base.sha256:
            return by_hand
        raise SAMedError(
            f"{asker} needs the base {base.name!r} (SHA-256 begins {base.sha256[:12]}), which is not in the "
            f"registry; give it with --base, or put it into {self.folder}."
        )

    def base_name(self, name: str | None, sha256: str | None, encoder_size: tuple[int, int] | None) -> str | None:
        """Registry name of the base with this digest or, where there is none, of this encoder (width, depth)."""
        if sha256:
            entry = self.registry.find_digest(sha256)
            return entry.name if entry else None
        from SAMedLib.weights.inspection import ENCODERS

        entry = self.registry.find_file(name or ENCODERS.get(encoder_size, ""))
        return entry.name if entry and entry.kind == "base" else None

    def cached_files(self) -> list[CachedFile]:
        """All files of the registry, present or not, then all others in the weights folder. Reads no file's content."""
        found = [self._look(self.path_of(entry), entry) for entry in self.registry.files.values()]
        found += [self._look(path, None) for path in sorted(self.own_models().values())]
        known = {file.path for file in found}
        if self.folder.is_dir():
            strangers = (p for p in sorted(self.folder.iterdir()) if p.suffix in ADAPTER_SUFFIXES and p.is_file())
            found += [CachedFile(p.name, p, p.stat().st_size, "unknown") for p in strangers if p not in known]
        return found

    def remove(self, name: str) -> list[Path]:
        """Delete a file, or the adapter of a model (its base may serve others), with what was noted beside it.

        Returns:
            what was deleted.
        """
        if self.registry.find_file(name) is None and name in self.registry.models:
            name = self.registry.models[name].adapter
        entry = self.registry.find_file(name)
        if entry and entry.packaged:
            raise SAMedError(f"{name} is a part of this installation and stays; name another to remove.")
        own = self.own_models()
        path = (
            self.path_of(entry) if entry else own.get(name) or next((p for p in own.values() if p.name == name), None)
        )
        if path is None:
            self.find_entry(name)
        candidates = (path, records.record_path(path), *leftovers(path))
        present = [candidate for candidate in candidates if candidate.is_file()]
        if not present:
            raise SAMedError(f"{name} is not in {self.folder}; there is nothing to remove.")
        with only_one(path, SILENT, wait=False):
            for candidate in present:
                candidate.unlink(missing_ok=True)
        return present

    def inspect_adapter(self, path: Path) -> Inspection:
        """What an adapter says about itself; SAMedError if it is none."""
        from SAMedLib.weights.inspection import inspect_weights

        found = inspect_weights(path)
        if found.kind != "adapter":
            what = "a SAM base; give it with --base" if found.kind == "base" else "neither an adapter nor a SAM base"
            raise SAMedError(f"{path} is {what}.")
        return found

    def base_of(self, found: Inspection) -> str | None:
        """Registry name of the base that an adapter needs; None if it holds its encoder, or needs another base."""
        if found.complete:
            return None
        base = found.metadata.get("base")
        named = base if isinstance(base, dict) else {}
        return self.base_name(named.get("name"), named.get("sha256"), found.encoder_size)

    # ---- checks ----

    def _checked(self, path: Path, entry: FileEntry, report: Reporter) -> None:
        if entry.packaged:  # as trustworthy as the code beside it
            return
        record = records.read_record(path)
        if record and record.describes(path) and entry.sha256 in (None, record.sha256):
            return
        if not entry.size_fits(path.stat().st_size):  # before reading gigabytes
            digest = ""
        else:
            digest = records.sha256_of(path, report)
        remedy = f"; remove it with 'samed weights remove {entry.name}' and get it again."
        if record and digest and record.sha256 != digest and not entry.sha256:
            raise SAMedError(f"{path} is not the file that was first used here, on {record.checked[:10]}{remedy}")
        try:
            records.check_content(path, entry, digest)
        except SAMedError as error:
            raise SAMedError(f"{str(error).rstrip('.')}{remedy}") from error
        records.write_record(path, digest)

    def _checked_own(self, path: Path, report: Reporter) -> records.Record:
        record = records.read_record(path)
        if record and record.describes(path):
            return record
        base = self.base_of(self.inspect_adapter(path))
        return records.write_record(path, records.sha256_of(path, report), base)

    def _look(self, path: Path, entry: FileEntry | None) -> CachedFile:
        name = entry.name if entry else path.name
        if not path.is_file():
            size = part_path(path).stat().st_size if part_path(path).is_file() else 0
            return CachedFile(name, path, size, "partial" if size else "absent", entry)
        size = path.stat().st_size
        record = records.read_record(path)
        digest = entry.sha256 if entry else None
        if entry and entry.packaged:
            state = "ready"
        elif entry and not entry.size_fits(size):
            state = "wrong"
        elif record and record.describes(path):
            state = "ready" if digest in (None, record.sha256) else "wrong"
        else:
            state = "unchecked"
        return CachedFile(name, path, size, state, entry)


def weights_folder() -> Path:
    """SAMED_HOME, or `samed` in the system's cache folder.

    Uses the standard library only: 3D Slicer's panel asks for it before anything is installed.
    """
    if home := os.environ.get("SAMED_HOME"):
        return Path(home).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "samed" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "samed"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samed"


def default_store() -> Store:
    return Store(weights_folder())


def locate(name: str, report: Reporter = SILENT) -> Path:
    """See Store.locate."""
    return default_store().locate(name, report)


def locate_base(metadata: ModelMetadata, adapter: Path | None = None) -> Path:
    """See Store.locate_base."""
    return default_store().locate_base(metadata, adapter)


def model_entry(name: str) -> ModelEntry:
    """See Store.model_entry."""
    return default_store().model_entry(name)


def model_names() -> list[str]:
    """All models: the registry's, and those that users added."""
    return default_store().model_names()


def download(name: str, report: Reporter = SILENT) -> Path:
    """See acquire.download."""
    return acquire.download(default_store(), name, report)


def cached_files() -> list[CachedFile]:
    """See Store.cached_files."""
    return default_store().cached_files()


def import_file(path: Path, name: str | None = None, report: Reporter = SILENT) -> Path:
    """See importing.import_file."""
    from SAMedLib.weights.importing import import_file

    return import_file(default_store(), path, name, report)
