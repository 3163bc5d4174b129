"""Reading a file of JSON lines while another process writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path

_CHUNK = 1 << 16
_LONGEST_LINE = 1 << 24  # bytes; longer ones are no events of ours


class EventFile:
    """Hands out each event once, when its line is complete. Lines that are no events are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._rest = bytearray()  # read, and not handed out
        self._searched = 0  # how much of it holds no end of line
        self._skipping = False  # the rest of a line that is too long

    def read(self, mostLines: int | None = None) -> list[dict]:
        """The events of at most `mostLines` further lines; all that are complete if None."""
        events = []
        handled = 0
        while mostLines is None or handled < mostLines:
            line = self._nextLine()
            if line is None:
                break
            handled += 1
            event = parse(line)
            if event is not None:
                events.append(event)
        return events

    @property
    def atEnd(self) -> bool:
        """Whether no complete line is left."""
        return b"\n" not in self._rest and self._offset >= self._size()

    def _nextLine(self) -> bytes | None:
        while True:
            end = self._rest.find(b"\n", self._searched)
            if end >= 0:
                line = bytes(self._rest[:end])
                del self._rest[: end + 1]
                self._searched = 0
                if not self._skipping:
                    return line
                self._skipping = False
                continue
            self._searched = len(self._rest)
            if self._searched > _LONGEST_LINE:
                self._rest.clear()
                self._searched, self._skipping = 0, True
            if not self._readOn():
                return None

    def _readOn(self) -> bool:
        if self._size() <= self._offset:
            return False
        with open(self.path, "rb") as file:
            file.seek(self._offset)
            chunk = file.read(_CHUNK)
        self._offset += len(chunk)
        self._rest += chunk
        return bool(chunk)

    def _size(self) -> int:
        try:
            return os.stat(self.path).st_size
        except OSError:
            return 0


def parse(line: bytes) -> dict | None:
    """The event in a line, None if it holds none."""
    try:
        event = json.loads(line.decode("utf-8", errors="replace"))
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def lastEvent(path: Path) -> dict | None:
    """The last complete event of a file, found from its end."""
    try:
        with open(path, "rb") as file:
            start = file.seek(0, os.SEEK_END)
            text = b""
            while start > 0 and len(text) <= _LONGEST_LINE:
                step = min(start, _CHUNK)
                start -= step
                file.seek(start)
                text = file.read(step) + text
                lines = text.split(b"\n")
                # the last part is not complete, and the first only at the beginning of the file
                for line in reversed(lines[0 if start == 0 else 1 : -1]):
                    event = parse(line)
                    if event is not None:
                        return event
    except OSError:
        pass
    return None
