"""A dataset of procedural phantoms, made by several processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from SAMedLib.data.dataset_index import CaseFiles
from SAMedLib.data.folders import end_what_was_begun, new_files, open_or_create, refresh_index, write_files
from SAMedLib.data.in_flight import results_of
from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.organs import SYNAPSE

_STAGE = "making phantoms"
Job = tuple[int, CaseFiles]


def write_phantoms(
    folder: Path | str,
    cases: int,
    seed: int = 0,
    *,
    in_plane: int | None = None,
    num_slices: int | None = None,
    coverage: str = "random",
    workers: int = 1,
    report: Reporter = SILENT,
) -> list[str]:
    """Write phantoms into an nnU-Net-style folder; cases that are there already are left as they are.

    Args:
        folder: a dataset of phantoms, or one that is empty or does not exist.
        cases: how many; case number i is make_phantom(seed + i), whatever the number of workers.
        in_plane: columns and rows, drawn from the seed by default.
        num_slices: slices of every phantom, drawn from the seed by default.
        coverage: what part of the patients is scanned, see `make_phantom`.
        workers: processes.

    Returns:
        The names of the cases that were made now.
    """
    wanted_numbers = (
        ("cases", cases, 1, 99_999),
        ("seed", seed, 0, 2**32),
        ("workers", workers, 1, 1024),
        ("in_plane", in_plane, 1, 2048),
        ("num_slices", num_slices, 1, 4096),
    )
    for name, value, least, most in wanted_numbers:
        if value is not None and not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise SAMedError(f"{name} is {value}; it must be {bound}.")
    folder = Path(folder)
    present = open_or_create(folder, SYNAPSE).cases
    wanted = {f"phantom_{number:05d}": number for number in range(seed, seed + cases)}
    missing = [name for name in wanted if name not in present]
    make = partial(_write_phantom, in_plane=in_plane, num_slices=num_slices, coverage=coverage)
    jobs = [(wanted[name], new_files(folder, name)) for name in missing]
    done = cases - len(missing)
    report.progress(_STAGE, done, cases)
    try:
        with closing(_run(make, jobs, workers, report)) as finished:
            for number in finished:
                done += 1
                report.progress(_STAGE, done, cases, f"seed {number}")
    except BrokenProcessPool:
        end_what_was_begun(folder)
        raise SAMedError("A worker process died, probably for want of memory; use fewer workers.") from None
    finally:
        refresh_index(folder)
    return missing


def _write_phantom(job: Job, **options: Any) -> int:
    from SAMedLib.data.phantom import make_phantom

    number, files = job
    phantom = make_phantom(number, **options)
    write_files(files, phantom.volume, phantom.labels)
    return number


def _run(make: partial, jobs: list[Job], workers: int, report: Reporter) -> Iterator[int]:
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(make, jobs)
        return
    # a fresh interpreter per worker: forking a process that runs threads (PyTorch, ITK) can lock up
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts_to_the_parent)
    with closing(results_of(pool, make, jobs, workers, report)) as results:
        for _, number in results:
            yield number


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
