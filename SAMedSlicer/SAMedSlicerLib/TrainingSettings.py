"""What a training from the panel is told, beside its data and its start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedLib.training.options import CHOICES, TrainingOptions
from SAMedSlicerLib.TrainingSettingList import Setting, allSettings, inPanelWords

# Finetuning a model on a few cases of one's own is another thing than the published training of 18 cases for 160
# epochs at 0.005. Measured with the embedded model on phantoms of another style: rates from 0.0003 to 0.001 end alike,
# higher and lower ones worse.
FINETUNING = {"epochs": 20, "batch_size": 8, "lr": 0.001, "augmentation": "published"}
SHARE_HELD_OUT = 5  # one case in so many is held out where the user does not say


def libraryDefault(name: str) -> Any:
    """The default of an option of `samed train`."""
    return next(field.default for field in fields(TrainingOptions) if field.name == name)


def choicesOf(setting: Setting) -> tuple[str, ...]:
    return CHOICES.get(setting.name, setting.choices)


def automaticValidation(cases: int) -> int:
    """How many cases to hold out of so many."""
    return 0 if cases < 2 else max(1, round(cases / SHARE_HELD_OUT))


@dataclass(frozen=True)
class TrainingSettings:
    """Texts and flags as the user gave them, by the name of the option; what is absent has its default."""

    given: Mapping[str, str | bool]

    @classmethod
    def fromJson(cls, text: str) -> TrainingSettings:
        """What was saved before; settings that are not understood any more have their default."""
        try:
            saved = dict(json.loads(text or "{}"))
        except (ValueError, TypeError):
            saved = {}
        known = {setting.name: setting for setting in allSettings()}
        return cls({name: value for name, value in saved.items() if name in known and _isRight(known[name], value)})

    def toJson(self) -> str:
        return json.dumps(dict(self.given))

    def text(self, setting: Setting) -> str:
        """What to show; empty for a value that follows from others."""
        if setting.name in self.given:
            return str(self.given[setting.name])
        return defaultText(setting)

    def flag(self, setting: Setting) -> bool:
        return bool(self.given.get(setting.name, libraryDefault(setting.name)))

    def values(self) -> dict[str, Any]:
        """The options that differ from the library's defaults.

        Raises:
            SAMedError: with a sentence about the first setting that cannot be used.
        """
        values: dict[str, Any] = {}
        for setting in allSettings():
            text = self.text(setting) or defaultText(setting)
            value = (self.flag(setting) or None) if setting.kind == "flag" else _parse(setting, text)
            if value is not None and value != libraryDefault(setting.name):
                values[setting.name] = value
        self._check(values)
        return values

    def arguments(self) -> list[str]:
        """The same for the command line of `samed train`."""
        result = []
        for name, value in self.values().items():
            option = "--" + name.replace("_", "-")
            if value is True:
                result.append(option)
            else:
                result.append(f"{option}={','.join(value) if isinstance(value, tuple) else value}")
        return result

    @staticmethod
    def _check(values: Mapping[str, Any]) -> None:
        try:
            TrainingOptions(data="", **values)
        except SAMedError as error:
            raise SAMedError(inPanelWords(str(error))) from None


def defaultText(setting: Setting) -> str:
    """The default as the panel shows it."""
    default = FINETUNING.get(setting.name, libraryDefault(setting.name))
    return "" if default is None else str(default)


def _isRight(setting: Setting, value: Any) -> bool:
    return isinstance(value, bool if setting.kind == "flag" else str)


def _parse(setting: Setting, text: str) -> Any:
    text = text.strip()
    if not text:
        return None
    if setting.kind == "choice":
        return text if text in choicesOf(setting) else None
    if setting.kind == "names":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if setting.kind == "text":
        return text
    try:
        return int(text) if setting.kind == "whole" else float(text.replace(",", "."))
    except ValueError:
        example = defaultText(setting) or setting.example
        kind = _("a whole number") if setting.kind == "whole" else _("a number")
        raise SAMedError(
            _("'{title}' is '{text}'; give {kind}, for example {example}.").format(
                title=setting.title, text=text, kind=kind, example=example
            )
        ) from None
