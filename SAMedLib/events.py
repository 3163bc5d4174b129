"""How a job talks to whoever watches it: a person at a terminal, or a program that reads JSON lines.

With `--events` standard output carries one JSON object per line and nothing else; everything else that is printed,
by us or by a library, goes to standard error. Without it, progress is a bar on standard error.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from SAMedLib.errors import Cancelled
from SAMedLib.parent import parent_watch


class Reporter:
    """Progress, metrics, results and messages of one job; also where a job learns that it should stop.

    Args:
        stream: where JSON lines go, None to talk to a person instead.
        stop_file: the job is cancelled once this file exists.
        silent: say nothing at all (ranks other than 0, tests, library use).
        wanted: whether anybody still waits for the job, such as parent_watch(); it is cancelled once nobody does.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        stop_file: Path | None = None,
        silent: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._stream = stream
        self._stop_file = stop_file
        self._silent = silent
        self._wanted = wanted
        self._bar = None
        self._stage: str | None = None
        self._message = ""

    @property
    def stop_requested(self) -> bool:
        return (self._stop_file is not None and self._stop_file.exists()) or not self._wanted()

    def check_cancelled(self) -> None:
        """Raises Cancelled if the stop file is there, or nobody waits any more."""
        if self.stop_requested:
            raise Cancelled

    def progress(self, stage: str, done: int, total: int, message: str = "") -> None:
        """`done` of `total` units of `stage` are ready. Raises Cancelled if the user asked to stop."""
        self.check_cancelled()
        if self._silent:
            return
        if self._stream:
            self._emit("progress", stage=stage, done=done, total=total, message=message)
        else:
            self._draw_bar(stage, done, total, message)

    def progress_within(self, stage: str, done: int, total: int, message: str = "") -> None:
        """As `progress`, for a part of the unit that is being worked on.

        A person sees it at the end of the line that is there, so that there is one line for the whole.
        """
        self.check_cancelled()
        if self._silent:
            return
        if self._stream:
            self._emit("progress", stage=stage, done=done, total=total, message=message)
        elif self._bar is not None:
            self._bar.set_postfix_str(f"{self._message}, {stage} {done}/{total}", refresh=False)
            self._bar.update(0)

    def metric(self, step: int, **values: Any) -> None:
        """Numbers measured at a training step, for curves."""
        if self._stream and not self._silent:
            self._emit("metric", step=step, **values)

    def result(self, **values: Any) -> None:
        """What the job produced; the last event of a job that succeeds."""
        self.close()
        if self._stream and not self._silent:
            self._emit("result", **values)

    def error(self, message: str) -> None:
        """The sentence that ends a job that fails."""
        self.close()
        message = _one_line(message)
        if self._stream:
            self._emit("error", message=message)
        print(message, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Text for a person: standard output, or standard error when standard output carries events."""
        if not self._silent:
            self._print(text, sys.stderr if self._stream else sys.stdout)

    def note(self, text: str) -> None:
        """A remark beside the result (a fallback, a skipped file): standard error, and an event."""
        if self._silent:
            return
        text = _one_line(text)
        if self._stream:
            self._emit("note", message=text)
        self._print(text, sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            self._stage = None

    def _emit(self, event: str, **values: Any) -> None:
        assert self._stream is not None
        self._stream.write(to_json_line({"event": event, **values}))
        self._stream.flush()

    def _print(self, text: str, stream: TextIO) -> None:
        """Above the bar, which stays the last line and goes on with its estimate."""
        if self._bar is not None:
            self._bar.clear()
        print(text, file=stream, flush=True)
        if self._bar is not None:
            self._bar.refresh()

    def _draw_bar(self, stage: str, done: int, total: int, message: str) -> None:
        from tqdm import tqdm

        if self._bar is None or stage != self._stage or total != self._bar.total:
            self.close()
            tqdm.monitor_interval = 0  # no thread of its own, which a full memory refuses with a warning
            # miniters 0: also a change of the words alone is drawn, ten times a second at most
            self._bar = tqdm(
                total=total, initial=done, desc=stage, leave=False, file=sys.stderr, disable=None, miniters=0
            )
            self._stage = stage
        self._message = message
        self._bar.set_postfix_str(message, refresh=False)
        self._bar.update(done - self._bar.n)
        if done >= total:
            self.close()


SILENT = Reporter(silent=True)


@contextlib.contextmanager
def reporter(events: bool, stop_file: Path | None = None, silent: bool = False) -> Iterator[Reporter]:
    """A Reporter for a command. With `events`, standard output is kept for JSON lines while it is open."""
    wanted = parent_watch()
    if not events:
        report = Reporter(stop_file=stop_file, silent=silent, wanted=wanted)
        try:
            yield report
        finally:
            report.close()
        return
    sys.stdout.flush()
    events_fd = os.dup(1)
    os.dup2(2, 1)  # whatever else prints, a C library included, lands on standard error
    # names that are no text become JSON's own escapes
    stream = os.fdopen(events_fd, "w", encoding="utf-8", errors="backslashreplace", newline="\n")
    try:
        yield Reporter(stream=stream, stop_file=stop_file, silent=silent, wanted=wanted)
    finally:
        sys.stdout.flush()
        stream.flush()
        os.dup2(stream.fileno(), 1)
        stream.close()


def _one_line(text: str) -> str:
    """Control characters, which names of files may hold, spelt out: they would move the cursor or forge a message."""
    return "".join(
        char.encode("unicode_escape").decode("ascii") if unicodedata.category(char) in ("Cc", "Cs") else char
        for char in text
    )


def to_json_line(event: dict[str, Any]) -> str:
    """One line of strict JSON: NaN and infinity become null, NumPy numbers become numbers."""
    return json.dumps(_plain(event), ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
