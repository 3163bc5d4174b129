"""Recipes: what an experiment trains and what it reports, as a small JSON file.

{
  "title": "Table 4: LoRA rank",
  "options": {"epochs": 160},              options of `samed train` that all runs share; may be left out
  "runs": {"rank 1": {"rank": 1}, ...},    for each run's name, the options in which it differs
  "report": ["scores", "sizes"]            of REPORTS
}
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError
from SAMedLib.json_files import read_json
from SAMedLib.training.options import CHOICES, TrainingOptions

REPORTS = ("scores", "sizes", "cases", "losses")
_TYPES = typing.get_type_hints(TrainingOptions)
_EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of names", str: "text"}


@dataclass(frozen=True)
class Recipe:
    """An experiment.

    Attributes:
        name: the file's, without extension; the results' folder is called so.
        options: training options that all runs share.
        runs: for each run's name, the options in which it differs.
        report: what is made of the runs, of REPORTS.
    """

    name: str
    title: str
    options: dict[str, Any]
    runs: dict[str, dict[str, Any]]
    report: tuple[str, ...]

    @property
    def needs_test_set(self) -> bool:
        return "scores" in self.report or "cases" in self.report

    def training_options(self, data: Path, overrides: Mapping[str, Any] | None = None) -> dict[str, TrainingOptions]:
        """Options of each run.

        Args:
            data: dataset folder to train on.
            overrides: options that win over those that the runs share, as text or as JSON has them.

        Raises:
            SAMedError: if an override is unknown, unreadable, or one of those that the experiment varies.
        """
        given = _checked(overrides or {}, "--set")
        varied = {option for own in self.runs.values() for option in own}
        if clash := sorted(varied & given.keys()):
            raise SAMedError(
                f"{self.name} compares runs by their {clash[0]}, so --set cannot give it; edit the recipe."
            )
        shared = {**self.options, **given}
        return {
            name: TrainingOptions(data=str(data), **{**shared, **own}).with_absolute_folders()
            for name, own in self.runs.items()
        }


def read_recipe(path: Path) -> Recipe:
    """Raises SAMedError if the file is no recipe: unreadable, without runs, or with unknown options or reports."""
    try:
        content = read_json(path)
    except OSError as error:
        raise SAMedError(f"{path} cannot be read: {error.strerror}; give a recipe's file.") from error
    known = {"title", "options", "runs", "report"}
    if not isinstance(content, dict) or not isinstance(content.get("runs"), dict) or not content["runs"]:
        raise SAMedError(
            f'{path} is not a recipe; it needs "runs", an object with the options of each run by its name.'
        )
    if unknown := sorted(content.keys() - known):
        raise SAMedError(f"{path} has the unknown entry {unknown[0]!r}; a recipe has {', '.join(sorted(known))}.")
    report = content.get("report", ["scores"])
    if not isinstance(report, list) or not report or any(entry not in REPORTS for entry in report):
        raise SAMedError(f'{path}: "report" is {report!r}; make it a list of some of {", ".join(REPORTS)}.')
    runs = {name: _checked(own, f"{path}, run {name!r}") for name, own in content["runs"].items()}
    names = list(runs)
    for number, name in enumerate(names):
        if twin := next((other for other in names[:number] if runs[other] == runs[name]), None):
            raise SAMedError(f"{path}: the runs {twin!r} and {name!r} are the same; they must differ in an option.")
    title = str(content.get("title", path.stem))
    return Recipe(path.stem, title, _checked(content.get("options", {}), str(path)), runs, tuple(report))


def parse_overrides(texts: list[str]) -> dict[str, str]:
    """From KEY=VALUE, as the command line has them."""
    overrides = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise SAMedError(f"--set {text} is not KEY=VALUE, for example epochs=20.")
        overrides[key] = value
    return overrides


def _checked(options: Any, where: str) -> dict[str, Any]:
    """Options under the names and with the types of TrainingOptions."""
    if not isinstance(options, Mapping):
        raise SAMedError(f"{where}: {options!r} is not an object of option names and values.")
    checked = {}
    for key, value in options.items():
        name = str(key).replace("-", "_")
        if name not in _TYPES:
            raise SAMedError(f"{where}: there is no training option {key!r}; `samed train --help` lists them.")
        if name == "data":
            raise SAMedError(f"{where}: the dataset is not part of an experiment; give it with --data.")
        checked[name] = _converted(name, value, where)
    return checked


def _converted(name: str, value: Any, where: str) -> Any:
    kinds = _kinds(_TYPES[name])
    if value is None and types.NoneType in kinds:
        return None
    kind = next(one for one in kinds if one is not types.NoneType)
    try:
        result = _as(kind, value)
    except (ValueError, TypeError, KeyError):
        raise SAMedError(f"{where}: {name} is {value!r}; it must be {_EXPECTED[kind]}.") from None
    if name in CHOICES and result not in CHOICES[name]:
        raise SAMedError(f"{where}: {name} is {value!r}; choose from {', '.join(CHOICES[name])}.")
    return result


def _kinds(hint: Any) -> list[type]:
    """The types that a hint like `tuple[str, ...] | None` allows."""
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return [typing.get_origin(part) or part for part in parts]


def _as(kind: type, value: Any) -> Any:
    """A value of JSON, or the text of one, as this type. Raises one of the errors of wrong values."""
    if kind is tuple:
        names = value.split(",") if isinstance(value, str) else list(value)
        return tuple(name.strip() for name in names if name.strip())
    if kind is str:
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if kind is bool:
        return {"true": True, "false": False}[str(value).lower()]
    if isinstance(value, bool):
        raise TypeError
    number = kind(value)
    if not isinstance(value, str) and number != value:
        raise ValueError
    return number
