"""Which models there are to segment with, and to go on training from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE
from SAMedLib.training.run_folder import RunFolder
from SAMedLib.weights.acquire import human_size
from SAMedLib.weights.registry import REGISTRY, ModelEntry, load_registry
from SAMedLib.weights.store import CachedFile, Store, default_store, weights_folder
from SAMedSlicerLib.ModelChoice import ModelChoice
from SAMedSlicerLib.ModelDescription import ModelDescription
from SAMedSlicerLib.PanelWords import inPanelWords

if TYPE_CHECKING:
    from SAMedSlicerLib.ModelDescription import Need

_HERE = ("ready", "unchecked")


class ModelCatalog:
    """Looks for models: those of the registry, the user's own in the weights folder, and those of training runs.

    Reads a few kilobytes of each file, never its weights.

    Args:
        runFolders: folders of trainings; those that are gone, or hold no model yet, are left out.
    """

    def __init__(self, runFolders: Iterable[Path] = ()) -> None:
        self._runFolders = [Path(folder) for folder in runFolders]
        self.problems: list[str] = []

    def choices(self) -> list[ModelChoice]:
        """The embedded model, published ones, the user's own, then those of the runs.

        Files that cannot be used are left out; `problems` then has a sentence on each.
        """
        self.problems = []
        store = self._openStore()
        try:
            files = {file.name: file for file in store.cached_files()}
        except OSError as error:
            self.problems.append(
                _("The models folder {folder} cannot be read ({reason}).").format(
                    folder=store.folder, reason=error.strerror or type(error).__name__
                )
            )
            # what comes along is still there; a folder that does not exist holds nothing else
            store = Store(REGISTRY.with_name("none"), store.registry)
            files = {file.name: file for file in store.cached_files()}
        known = [self._ofRegistry(store, entry, files) for entry in store.registry.models.values()]
        known.sort(key=lambda choice: choice.kind != "embedded")
        for file in files.values():
            if file.state == "unknown":
                self.problems.append(
                    _("{file} is not used where it is; put your own models into {folder}.").format(
                        file=file.path, folder=store.models_folder
                    )
                )
        return [*known, *self._own(store, files), *self._runs(store, files)]

    def _openStore(self) -> Store:
        try:
            return default_store()
        except SAMedError as error:  # a registry of the user's own
            self.problems.append(str(error))
            return Store(weights_folder(), load_registry(REGISTRY))

    def _ofRegistry(self, store: Store, entry: ModelEntry, files: dict[str, CachedFile]) -> ModelChoice:
        adapter = files[entry.adapter]
        description = None
        if adapter.state in _HERE and adapter.path.suffix == ".safetensors":
            description = self._describe(store, adapter.path)
        wrong = [files[name] for name in (entry.adapter, entry.base) if name and files[name].state == "wrong"]
        for file in wrong:
            self.problems.append(
                _("{file} is another file than its name says; delete it, then download the model again.").format(
                    file=file.path
                )
            )
        labels = description.labels if description else SYNAPSE if entry.label_set == SYNAPSE.name else None
        needed = [name for name in (entry.adapter, entry.base) if name and files[name].state not in _HERE]
        missing = _Missing(needed, files)
        embedded = bool(adapter.entry and adapter.entry.packaged)
        title = entry.title or entry.name
        if entry.title and not embedded:
            title = _("{model}, published").format(model=title)
        details = description or ModelDescription.ofPublished(entry, adapter, files.get(entry.base or ""), labels)
        return ModelChoice(
            key=entry.name,
            title=missing.appendedTo(title),
            organs=labels.names if labels else (),
            labels=labels,
            ready=not needed,
            download_bytes=missing.bytes,
            details=missing.appendedTo(details.text(), separate=True),
            demonstration=entry.demonstration or bool(description and description.demonstration),
            kind="embedded" if embedded else "published",
            downloads=missing.names,
        )

    def _own(self, store: Store, files: dict[str, CachedFile]) -> list[ModelChoice]:
        found = []
        for name, path in store.own_models().items():
            if name in store.registry.models:
                self.problems.append(
                    _("{file} has the name of a model that comes with SAMed; give it another name.").format(file=path)
                )
            elif description := self._describe(store, path):
                found.append(self._ofFile(store, files, description, name, name, "own"))
        return found

    def _runs(self, store: Store, files: dict[str, CachedFile]) -> list[ModelChoice]:
        return [choice for folder in self._runFolders for choice in self._ofRun(store, files, RunFolder(folder))]

    def _ofRun(self, store: Store, files: dict[str, CachedFile], run: RunFolder) -> list[ModelChoice]:
        """The best model; the last one too if the run has not ended, or instead if nothing was validated."""
        described = {}
        for which in ("best", "last"):
            path = run.adapter(which)
            if path.is_file() and (description := self._describe(store, path)):
                described[which] = description
        total = self._totalSteps(run) if described else None
        last = described.get("last")
        if "best" in described and not (last and total and last.steps < total):
            described.pop("last", None)
        choices = []
        for which, description in described.items():
            state = [_("best") if which == "best" else _("last")]
            if which == "last" and total and description.steps < total:
                state.append(_("step {step} of {total}").format(step=description.steps, total=total))
            if description.dice is not None:
                state.append(_("Dice {dice:.2f}").format(dice=description.dice))
            shown = state[0] + (f" ({', '.join(state[1:])})" if state[1:] else "")
            title = f"{' '.join(filter(None, (run.path.name, description.date)))}: {shown}"
            choices.append(self._ofFile(store, files, description, str(run.adapter(which)), title, "run"))
        return choices

    def _ofFile(
        self, store: Store, files: dict[str, CachedFile], description: ModelDescription, key: str, title: str, kind: str
    ) -> ModelChoice:
        need = description.need
        missing = _Missing([need.name] if need and need.name and files[need.name].state not in _HERE else [], files)
        ready = not missing.needed and _isHere(store, need)
        text = missing.appendedTo(description.text(), separate=True)
        if not ready and not missing.needed and need:
            text += "\n" + _("Needs {file}, which cannot be downloaded: put it into {folder}").format(
                file=need.filename, folder=store.folder
            )
            title = _("{model} (needs {file})").format(model=title, file=need.filename)
        return ModelChoice(
            key=key,
            title=missing.appendedTo(title),
            organs=description.labels.names,
            labels=description.labels,
            ready=ready,
            download_bytes=missing.bytes,
            details=text,
            demonstration=description.demonstration,
            kind=kind,
            downloads=missing.names,
        )

    def _describe(self, store: Store, path: Path) -> ModelDescription | None:
        try:
            return ModelDescription.ofFile(store, path)
        except SAMedError as error:
            self.problems.append(inPanelWords(str(error)))
        except OSError as error:
            self.problems.append(
                _("{file} cannot be read ({reason}).").format(file=path, reason=error.strerror or type(error).__name__)
            )
        return None

    def _totalSteps(self, run: RunFolder) -> int | None:
        """Steps after which the run ends, None if its settings are not readable."""
        try:
            return int(run.read_config()["timetable"]["total_steps"])
        except (SAMedError, OSError, KeyError, TypeError, ValueError):
            return None


class _Missing:
    """Files of a model that are not here, and how much of them a download has to bring."""

    def __init__(self, needed: list[str], files: dict[str, CachedFile]) -> None:
        self.needed = needed
        self._sizes = {}
        for name in needed:
            file = files[name]
            if file.entry and file.entry.url and file.entry.bytes:
                self._sizes[name] = file.entry.bytes - (file.size if file.state == "partial" else 0)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._sizes)

    @property
    def bytes(self) -> int:
        return sum(self._sizes.values())

    def appendedTo(self, text: str, separate: bool = False) -> str:
        """`text` with what has to be downloaded, in parentheses or on a line of its own."""
        if not self.needed:
            return text
        sizes = " + ".join(human_size(size) for size in self._sizes.values())
        if separate:
            what = [f"{name} ({human_size(self._sizes[name])})" for name in self._sizes]
            line = (
                _("To download first: {files}").format(files=", ".join(what)) if what else _("Its files are not here")
            )
            return f"{text}\n{line}"
        state = _("download {sizes}").format(sizes=sizes) if sizes else _("its files are not here")
        return f"{text} ({state})"


def _isHere(store: Store, need: Need | None) -> bool:
    """Whether a base that the registry does not know was put into the weights folder."""
    return need is None or bool(need.name) or (store.folder / need.filename).is_file()
