"""Which model segments."""

from __future__ import annotations

import html
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.Job import Job
from SAMedSlicerLib.JobStrip import JobStrip

if TYPE_CHECKING:
    from SAMedSlicerLib.ModelCatalog import ModelCatalog
    from SAMedSlicerLib.ModelChoice import ModelChoice


class ModelPicker:
    """The list of models with what is known of the chosen one, and the download of those that are not here.

    Args:
        ui: the tab's widgets.
        catalog: looks for models anew.
        onChanged: called when another model is chosen, or the list changed.
    """

    def __init__(self, ui: Any, host: Host, catalog: Callable[[], ModelCatalog], onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._host = host
        self._catalog = catalog
        self._onChanged = onChanged
        self._choices: list[ModelChoice] = []
        self._problems: list[str] = []
        self._filling = False
        self._folder: Path | None = None
        self._strip = JobStrip(
            ui.downloadButton, ui.downloadProgressBar, ui.downloadStatusLabel, host, self._onDownload
        )
        self._say("")
        ui.modelDetailsLabel.textFormat = qt.Qt.RichText
        ui.modelDetailsLabel.connect("linkActivated(QString)", self._onLink)
        ui.modelSelector.connect("currentIndexChanged(int)", self._onSelected)

    @property
    def current(self) -> ModelChoice | None:
        index = self._ui.modelSelector.currentIndex
        return self._choices[index] if 0 <= index < len(self._choices) else None

    @property
    def downloading(self) -> bool:
        return self._strip.busy

    def refresh(self, key: str = "") -> None:
        """Look for models again and choose the one called `key`, by default the one that was chosen."""
        chosen = key or (self.current.key if self.current else "")
        found = self._catalog()
        self._choices = found.choices()
        self._problems = list(found.problems)
        self._filling = True
        self._ui.modelSelector.clear()
        for choice in self._choices:
            self._ui.modelSelector.addItem(choice.title)
        keys = [choice.key for choice in self._choices]
        self._ui.modelSelector.currentIndex = keys.index(chosen) if chosen in keys else 0
        self._filling = False
        self._show()
        self._onChanged()

    def select(self, key: str) -> None:
        """Choose a model, if it is there."""
        keys = [choice.key for choice in self._choices]
        if key in keys:
            self._ui.modelSelector.currentIndex = keys.index(key)

    def missing(self) -> str:
        """What the user must do before segmenting, "" if nothing."""
        if self.downloading:
            return _("Wait for the download of the model, or cancel it.")
        if self.current is None:
            return _("No model was found; install the extension again.")
        if not self.current.ready:
            if self.current.downloads:
                return _("Download the model first, or choose another one.")
            return _("A file of this model is missing; its details tell which. Choose another model.")
        return ""

    def abandon(self) -> None:
        """The module goes: end a download; the next one goes on where this one was."""
        self._strip.abandon()
        self._removeFolder()

    def _show(self) -> None:
        choice = self.current
        details = choice.details if choice else ""
        self._ui.downloadButton.visible = self.downloading or bool(choice and choice.downloads)
        self._ui.modelDetailsLabel.text = _summary(details, len(self._problems))
        self._ui.modelDetailsLabel.toolTip = details
        self._ui.modelSelector.toolTip = details
        if choice is not None and not self.downloading:
            self._ui.downloadButton.toolTip = _(
                "Download {size:.0f} MB from the internet; the files are checked when they are here."
            ).format(size=choice.download_bytes / 1e6)

    def _onLink(self, link: str) -> None:
        choice = self.current
        if link == "problems":
            self._host.showInfo("\n\n".join(self._problems))
        elif choice is not None:
            self._host.showInfo(f"{choice.title}\n\n{choice.details}")

    def _onSelected(self, index: int) -> None:
        if not self._filling:
            self._say("")
            self._show()
            self._onChanged()

    def _onDownload(self) -> None:
        choice = self.current
        if choice is None or not choice.downloads or not self._host.ensureReady():
            return
        self._ui.downloadStatusLabel.visible = True
        self._folder = self._host.temporaryFolder()
        self._ui.modelSelector.enabled = False
        self._strip.run(["weights", "download", *choice.downloads], self._folder / "job", onFinished=self._onDownloaded)
        self._onChanged()

    def _onDownloaded(self, job: Job, ok: bool, message: str) -> None:
        details = self._strip.details
        self._removeFolder()
        self._ui.modelSelector.enabled = True
        self.refresh()
        self._say(_("The model is here and was checked.") if ok else message, details)

    def _removeFolder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _say(self, text: str, details: str = "") -> None:
        self._strip.say(text, details)
        self._ui.downloadStatusLabel.visible = bool(text)


def _summary(details: str, problems: int) -> str:
    """The first line, and links to the rest and to the files that are left out."""
    lines = details.splitlines()
    parts = [html.escape(lines[0], quote=False) + "."] if lines else []
    if len(lines) > 1:
        parts.append(f'<a href="details">{_("More about this model")}</a>')
    if problems:
        text = _("1 file cannot be used") if problems == 1 else _("{count} files cannot be used")
        parts.append(f'<a href="problems">{text.format(count=problems)}</a>')
    return " ".join(parts)
