"""What training starts from, and its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from SAMedSlicerLib.Host import Host
from SAMedSlicerLib.SettingsForm import SettingsForm
from SAMedSlicerLib.StartChoices import StartChoice, startChoices
from SAMedSlicerLib.TrainingSettingList import computingSettings, courseSettings, mainSettings, networkSettings
from SAMedSlicerLib.TrainingSettings import TrainingSettings, automaticValidation

if TYPE_CHECKING:
    from SAMedSlicerLib.ModelCatalog import ModelCatalog

_SETTINGS, _START, _VALIDATION = "trainingSettings", "trainingStart", "trainingValidation"
_AUTOMATIC = -1


class TrainingSettingsPanel:
    """Remembers what was chosen in the application's settings.

    Args:
        ui: the widgets of TrainingTab.ui.
        catalog: what models there are now.
        onChanged: called after the user has changed something.
    """

    def __init__(self, ui: Any, host: Host, catalog: Callable[[], ModelCatalog], onChanged: Callable[[], None]) -> None:
        self._ui = ui
        self._host = host
        self._catalog = catalog
        self._onChanged = onChanged
        self._choices: list[StartChoice] = []
        self._labels: tuple[str, ...] = ()
        self._cases = 0
        self._filling = False
        self._forms = [
            SettingsForm(ui.settingsFormLayout, mainSettings(), self._onEdited),
            SettingsForm(
                ui.advancedFormLayout, [*networkSettings(), *courseSettings(), *computingSettings()], self._onEdited
            ),
        ]
        self._show(TrainingSettings.fromJson(host.setting(_SETTINGS)))
        self._saved = self._settings().toJson()
        saved = host.setting(_VALIDATION)
        ui.validationSpinBox.value = int(saved) if saved.isdigit() else _AUTOMATIC
        ui.startSelector.connect("currentIndexChanged(int)", self._onStart)
        ui.validationSpinBox.connect("valueChanged(int)", self._onValidation)
        ui.restoreDefaultsButton.connect("clicked(bool)", lambda *_: self._onRestore())

    @property
    def start(self) -> StartChoice | None:
        index = int(self._ui.startSelector.currentIndex)
        return self._choices[index] if 0 <= index < len(self._choices) else None

    def refreshModels(self) -> None:
        """Show what there is to start from now; the choice stays."""
        wanted = self.start.key if self.start else self._host.setting(_START, "tiny")
        self._choices = startChoices(self._catalog())
        self._filling = True
        self._ui.startSelector.clear()
        for choice in self._choices:
            self._ui.startSelector.addItem(choice.title)
        keys = [choice.key for choice in self._choices]
        if keys:
            self._ui.startSelector.setCurrentIndex(keys.index(wanted) if wanted in keys else 0)
        self._filling = False
        self._explain()

    def showFor(self, labels: Sequence[str], cases: int) -> None:
        """Say what the settings mean for a training set with these labels, and so many cases."""
        self._labels, self._cases = tuple(labels), cases
        self._ui.validationSpinBox.maximum = max(0, cases - 1)
        count = automaticValidation(cases)
        text = _("automatic") if not cases else _("automatic ({count} of {cases})").format(count=count, cases=cases)
        self._ui.validationSpinBox.specialValueText = text
        self._explain()

    def arguments(self) -> list[str]:
        """For `samed train`.

        Raises:
            SAMedError: with a sentence about a setting that cannot be used.
        """
        count = int(self._ui.validationSpinBox.value)
        held = automaticValidation(self._cases) if count == _AUTOMATIC else count
        return [
            *(self.start.arguments if self.start else ()),
            *(["--val-cases", str(held)] if held else []),
            *self._settings().arguments(),
        ]

    def _settings(self) -> TrainingSettings:
        return TrainingSettings({name: value for form in self._forms for name, value in form.given().items()})

    def _show(self, settings: TrainingSettings) -> None:
        for form in self._forms:
            form.show(settings)

    def _explain(self) -> None:
        start = self.start
        self._ui.startLabel.text = "" if start is None else f"{start.meaning} {start.fitTo(self._labels)}".strip()

    def _onStart(self, index: int) -> None:
        if self._filling:
            return
        if self.start:
            self._host.setSetting(_START, self.start.key)
        self._explain()
        self._onChanged()

    def _onValidation(self, value: int) -> None:
        self._host.setSetting(_VALIDATION, "" if value == _AUTOMATIC else str(value))
        self._onChanged()

    def _onEdited(self) -> None:
        text = self._settings().toJson()
        if text != self._saved:  # a line edit also says so when it is only left
            self._saved = text
            self._host.setSetting(_SETTINGS, text)
            self._onChanged()

    def _onRestore(self) -> None:
        self._ui.validationSpinBox.value = _AUTOMATIC
        self._show(TrainingSettings({}))
        self._onEdited()
