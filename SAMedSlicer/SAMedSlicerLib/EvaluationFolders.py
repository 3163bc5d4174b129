"""The folders of cases that the Evaluate tab compares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE
from SAMedSlicerLib.EvaluationRequest import EvaluationRequest
from SAMedSlicerLib.Host import Host

_KEYS = ("predictions", "references", "images")


class EvaluationFolders:
    """Three folder fields, and which organs are scored.

    Args:
        ui: the widgets of EvaluateTab.ui.
        onChanged: called after the user changed something.
    """

    def __init__(self, ui: Any, host: Host, onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._host = host
        self._onChanged = onChanged
        self._edits = {
            "predictions": ui.predictionsFolderEdit,
            "references": ui.referencesFolderEdit,
            "images": ui.imagesFolderEdit,
        }
        titles = {
            "predictions": _("Folder of the predictions"),
            "references": _("Folder of the references"),
            "images": _("Folder of the scans"),
        }
        buttons = {
            "predictions": ui.choosePredictionsButton,
            "references": ui.chooseReferencesButton,
            "images": ui.chooseImagesButton,
        }
        for key, edit in self._edits.items():
            edit.text = host.setting(_settingOf(key))
            edit.connect("textChanged(QString)", lambda *_ignored, key=key: self._onTyped(key))
            buttons[key].connect("clicked(bool)", lambda *_ignored, key=key: self._onChoose(key, titles[key]))
        ui.commonCheckBox.connect("toggled(bool)", lambda *_ignored: self._onChanged())
        self._dataset: Path | None = None
        self._offerOrgans()

    def missing(self) -> str:
        """What is to be chosen yet, "" if nothing."""
        for key, sentence in (
            ("predictions", _("Choose the folder of the predictions.")),
            ("references", _("Choose the folder of the references.")),
        ):
            if not self._text(key):
                return sentence
        for key in _KEYS:
            if self._text(key) and not Path(self._text(key)).is_dir():
                return _("{folder} is not a folder.").format(folder=self._text(key))
        if Path(self._text("predictions")).resolve() == Path(self._text("references")).resolve():
            return _("Predictions and references are the same folder; choose two.")
        return ""

    @property
    def title(self) -> str:
        return _("{predictions} against {references}").format(
            predictions=Path(self._text("predictions")).name, references=Path(self._text("references")).name
        )

    def request(self, protocol: str, folder: Path) -> EvaluationRequest:
        predictions = Path(self._text("predictions")).absolute()
        return EvaluationRequest(
            predictions.name,
            predictions,
            Path(self._text("references")).absolute(),
            folder,
            protocol,
            images=Path(self._text("images")).absolute() if self._text("images") else None,
            labels=str(self._dataset) if self._dataset and self._ui.organSetSelector.currentIndex == 1 else "",
            commonOnly=bool(self._ui.commonCheckBox.checked),
        )

    def _text(self, key: str) -> str:
        return str(self._edits[key].text).strip()

    def _onTyped(self, key: str) -> None:
        self._host.setSetting(_settingOf(key), self._text(key))
        if key == "references":
            self._offerOrgans()
        self._onChanged()

    def _onChoose(self, key: str, title: str) -> None:
        folder = self._host.chooseFolder(title)
        if folder:
            self._edits[key].text = folder

    def _offerOrgans(self) -> None:
        """The eight organs; and what the references' dataset.json lists, if it is something else."""
        self._dataset, names = _datasetOf(self._text("references"))
        selector = self._ui.organSetSelector
        selector.clear()
        selector.addItem(_("The eight abdominal organs"))
        known = {_plain(label.name) for label in SYNAPSE}
        others = {_plain(name) for name in names} - known
        if not others:
            self._dataset = None
            return
        selector.addItem(_("All {count} labels of {file}").format(count=len(names), file="dataset.json"))
        selector.currentIndex = 0 if known & {_plain(name) for name in names} else 1


def _datasetOf(folder: str) -> tuple[Path | None, list[str]]:
    """The nnU-Net or MSD dataset.json in a folder or above it, and the names of its labels."""
    from SAMedLib.data.dataset_index import INDEX_NAME, read_index, read_labels_of

    for place in (Path(folder), Path(folder).absolute().parent) if folder else ():
        if (place / INDEX_NAME).is_file():
            try:
                names = read_labels_of(read_index(place), place / INDEX_NAME)
            except SAMedError:
                return None, []
            return (place / INDEX_NAME).absolute(), list(names.values())
    return None, []


def _settingOf(key: str) -> str:
    return f"evaluate/{key}Folder"


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " _-")
