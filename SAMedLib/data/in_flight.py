"""Work that a pool does, a few pieces at a time, so that it ends soon after the user asks it to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import TypeVar

from SAMedLib.events import Reporter

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def results_of(
    pool: Executor, work: Callable[[Piece], Result], pieces: Iterable[Piece], at_once: int, report: Reporter
) -> Iterator[tuple[Piece, Result]]:
    """Pieces and their results as they come. However it ends, it waits for what is being worked on, not for the rest.

    Args:
        at_once: pieces in flight. A pool of processes takes one more than it has processes out of anyone's reach, so
            give it no more than those.

    Raises:
        Cancelled: within a second of the user's asking, once what is being worked on is done.
    """
    waiting = iter(pieces)
    running: dict[Future, Piece] = {}
    with pool:
        try:
            while True:
                while len(running) < at_once and (piece := next(waiting, None)) is not None:
                    running[pool.submit(work, piece)] = piece
                if not running:
                    return
                done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                report.check_cancelled()
                for future in done:
                    yield running.pop(future), future.result()
        finally:
            for future in running:
                future.cancel()
