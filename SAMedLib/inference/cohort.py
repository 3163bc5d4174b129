"""Many scans, in one process or in those that torchrun started: each takes the next scan, the first speaks for all.

The processes talk through the store that torchrun keeps for them: a counter of the scans that were taken, and what
came of each. So a process with large scans takes fewer of them, and none waits for another but the first, at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from SAMedLib.errors import Cancelled
from SAMedLib.events import Reporter
from SAMedLib.failures import sentence_of
from SAMedLib.imaging.organ_volumes import OrganVolume
from SAMedLib.ranks import has_partners

STAGE = "scans"
_PAUSE = 0.1  # seconds between two looks at what the others did


@dataclass(frozen=True)
class Outcome:
    """What came of a scan.

    Attributes:
        scan: its number.
        organs: volumes of what was found; empty if it failed.
        skipped: its result was there already.
        failure: a sentence that says why there is no result.
        notes: remarks for the user.
    """

    scan: int
    organs: tuple[OrganVolume, ...] = ()
    skipped: bool = False
    failure: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Outcome:
        values = json.loads(text)
        values["organs"] = tuple(OrganVolume(**organ) for organ in values["organs"])
        return cls(**{**values, "notes": tuple(values["notes"])})


class Store(Protocol):
    """What is used of torch.distributed.Store."""

    def add(self, key: str, amount: int) -> int: ...

    def set(self, key: str, value: str) -> None: ...

    def get(self, key: str) -> bytes | str: ...


class OwnStore:
    """The store of a process that works alone."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._counters: dict[str, int] = {}

    def add(self, key: str, amount: int) -> int:
        self._counters[key] = self._counters.get(key, 0) + amount
        return self._counters[key]

    def set(self, key: str, value: str) -> None:
        self._values[key] = value

    def get(self, key: str) -> str:
        return self._values[key]


class Cohort:
    """The scans 0 to total - 1, shared by all processes.

    Args:
        store: the same for all of them.
        leads: whether this is the process that tells what came of all scans.

    Attributes:
        heard: how many outcomes this process has heard of.
    """

    def __init__(self, total: int, store: Store, leads: bool = True, processes: int = 1) -> None:
        self.total, self.leads, self.processes = total, leads, processes
        self._store = store
        self.heard = 0

    def take(self) -> int | None:
        """The next scan that no process has taken; None if there is none left."""
        number = self._store.add("taken", 1) - 1
        return number if number < self.total else None

    def tell(self, outcome: Outcome) -> None:
        text = outcome.to_json()
        self._store.set(f"outcome {self._store.add('outcomes', 1)}", text)

    def news(self) -> Iterator[Outcome]:
        """What was told since the last call, by any process."""
        while self.heard < self._store.add("outcomes", 0):
            self.heard += 1
            # there, or a moment later: another process counts it first, and then says it
            yield Outcome.from_json(self._store.get(f"outcome {self.heard}"))

    def leave(self) -> None:
        """The last word of a process: it will not need the store any more."""
        self._store.add("left", 1)

    @property
    def complete(self) -> bool:
        """Whether the other processes have left, and all that they told was heard."""
        return self._store.add("left", 0) == self.processes and self.heard == self._store.add("outcomes", 0)


def join_cohort(total: int) -> Cohort:
    """Under torchrun that of all its processes; without it, one of this process alone."""
    if not has_partners():
        return Cohort(total, OwnStore())
    import torch.distributed

    store, rank, processes = next(torch.distributed.rendezvous("env://"))
    return Cohort(total, store, rank == 0, processes)


def work_through(
    cohort: Cohort,
    names: Sequence[str],
    work: Callable[[int, Reporter], Outcome],
    on_outcome: Callable[[Outcome], None],
    report: Reporter,
) -> None:
    """Take scan after scan until there is none left; the leader stays until all processes are done.

    Args:
        names: of the scans.
        work: does one scan; what it raises is that scan's outcome, and the next one follows.
        on_outcome: called by the leader, for every scan of every process.

    Raises:
        Cancelled: if the user asked to stop.
    """

    alone = cohort.processes == 1

    def listen() -> None:
        for outcome in cohort.news() if cohort.leads else ():
            on_outcome(outcome)
            if not alone:
                report.progress(STAGE, cohort.heard, cohort.total, names[outcome.scan])

    if not alone:
        report.progress(STAGE, cohort.heard, cohort.total)
    while (number := cohort.take()) is not None:
        if alone:
            report.progress(STAGE, number, cohort.total, names[number])
        of_scan = _ScanReporter(report, listen, shown=alone)
        outcome = _outcome(work, number, of_scan)
        cohort.tell(replace(outcome, notes=tuple(of_scan.notes)))
        listen()
    cohort.leave()
    while cohort.leads and not cohort.complete:
        report.check_cancelled()
        listen()
        time.sleep(_PAUSE)


def _outcome(work: Callable[[int, Reporter], Outcome], number: int, report: Reporter) -> Outcome:
    try:
        return work(number, report)
    except Cancelled:
        raise
    except Exception as error:
        return Outcome(number, failure=sentence_of(error))


class _ScanReporter(Reporter):
    """For one scan of a cohort: its stages are a detail of the cohort's progress, its notes a part of its outcome.

    Args:
        listen: called at every progress.
        shown: whether the stages are told; those of one process of several would say nothing of the whole.
    """

    def __init__(self, cohort: Reporter, listen: Callable[[], None], shown: bool) -> None:
        super().__init__(silent=True)
        self._cohort, self._listen, self._shown = cohort, listen, shown
        self.notes: list[str] = []

    @property
    def stop_requested(self) -> bool:
        return self._cohort.stop_requested

    def progress(self, stage: str, done: int, total: int, message: str = "") -> None:
        self._listen()
        if self._shown:
            self._cohort.progress_within(stage, done, total, message)
        else:
            self.check_cancelled()

    def note(self, text: str) -> None:
        self.notes.append(text)
