"""The trainings of an experiment: found again where they are done, resumed where they stopped, started where not."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.training import RunFolder, TrainingOptions, resume, train
from SAMedLib.training.starting_model import starting_point
from SAMedLib.training.state import load_state

NEW, STOPPED, FINISHED = "new", "stopped", "finished"
# where and how a run computes, not what
_OF_THE_MACHINE = ("accumulate", "precision", "device", "save_every_minutes", "save_pth")


@dataclass(frozen=True)
class PlannedRun:
    """One training of an experiment.

    Attributes:
        name: in the recipe.
        state: NEW, STOPPED or FINISHED.
    """

    name: str
    options: TrainingOptions
    folder: RunFolder
    state: str


def plan_runs(options: Mapping[str, TrainingOptions], folder: Path) -> list[PlannedRun]:
    """Find for each run its folder among those in `folder`: that of a run with the same options, or a new one.

    So recipes that share the folder share the runs that they have in common.

    Raises:
        SAMedError: if a new run cannot start, because weights are missing or options do not fit; before any training.
    """
    recorded = {path: _recorded_options(path) for path in sorted(folder.glob("*/config.json"))}
    planned: list[PlannedRun] = []
    for name, wanted in options.items():
        found = next((path.parent for path, was in recorded.items() if _same(was, wanted)), None)
        if found is not None:
            run = RunFolder(found)
            planned.append(PlannedRun(name, wanted, run, FINISHED if _is_finished(run) else STOPPED))
            continue
        base = starting_point(wanted).base
        if base is not None and not base.is_file():
            raise SAMedError(f"Run {name}: there is no model file {base}; check base.")
        taken = {path.parent.name for path in recorded} | {run.folder.path.name for run in planned}
        planned.append(PlannedRun(name, wanted, RunFolder(folder / _folder_name(name, taken)), NEW))
    return planned


def train_runs(planned: Iterable[PlannedRun], report: Reporter = SILENT) -> None:
    """Train what is not finished yet, one run after the other.

    Raises:
        Cancelled: when asked to stop; planning and training again goes on exactly there.
        SAMedError: see training.
    """
    for run in planned:
        if run.state == FINISHED:
            continue
        report.say(f"\n{run.name}: {run.folder.path}")
        of_run = _OfOneRun(report, run.name)
        try:
            if run.state == STOPPED:
                changes = {name: getattr(run.options, name) for name in _OF_THE_MACHINE}
                resume(run.folder.path, changes, of_run)
            else:
                train(run.options, run.folder.path, of_run)
        except Cancelled:
            report.note("Give the same command again, and the experiment goes on where it stopped.")
            raise
        except SAMedError as error:
            raise SAMedError(f"Run {run.name}: {error}") from error
    if dist.is_available() and dist.is_initialized():
        dist.barrier()  # what the first process saved last must be there when others plan


def _recorded_options(config_file: Path) -> TrainingOptions:
    return TrainingOptions.from_json(RunFolder(config_file.parent).read_config()["options"])


def _same(recorded: TrainingOptions, wanted: TrainingOptions) -> bool:
    of_the_machine = {name: getattr(recorded, name) for name in _OF_THE_MACHINE}
    return dataclasses.replace(wanted, **of_the_machine) == recorded


def _is_finished(run: RunFolder) -> bool:
    return load_state(run.state_file)["closed_at"] == run.read_config()["timetable"]["total_steps"]


def _folder_name(name: str, taken: set[str]) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "run"
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return next(candidate for candidate in (stem, *numbered) if candidate not in taken)


class _OfOneRun(Reporter):
    """Passes on what one run reports: its metrics under its name, its result not, which is not the experiment's."""

    def __init__(self, report: Reporter, name: str) -> None:
        super().__init__()
        self._report, self._name = report, name

    @property
    def stop_requested(self) -> bool:
        return self._report.stop_requested

    def progress(self, stage: str, done: int, total: int, message: str = "") -> None:
        self._report.progress(f"{self._name}: {stage}", done, total, message)

    def metric(self, step: int, **values: Any) -> None:
        self._report.metric(step, run=self._name, **values)

    def result(self, **values: Any) -> None:
        self._report.close()

    def say(self, text: str) -> None:
        self._report.say(text)

    def note(self, text: str) -> None:
        self._report.note(text)

    def close(self) -> None:
        self._report.close()
