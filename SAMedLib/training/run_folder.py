"""What a training run leaves behind, and how it is found again.

    config.json              everything that went in: options, model, data, software
    events.jsonl             one JSON object per line, only ever appended to; curves are drawn from it
    last.safetensors         adapter as of the last save (also .pth on request)
    best.safetensors         adapter with the best validation Dice
    state.pt                 what a resume needs
    figures/, tensorboard/   curves

Reading needs no torch.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError
from SAMedLib.events import to_json_line
from SAMedLib.files import remove_leftovers, write_then_rename
from SAMedLib.json_files import read_json

_OF_DATA = ("dataset.json", "train_npz", "test_vol_h5")  # what shows that a folder is no run's
_DESCRIPTION = {"options", "model", "base_path", "data", "timetable", "parts"}


class RunFolder:
    """One run's folder; making this object touches nothing."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.events_file = self.path / "events.jsonl"
        self.state_file = self.path / "state.pt"
        self.figures = self.path / "figures"
        self.tensorboard = self.path / "tensorboard"

    @property
    def holds_a_run(self) -> bool:
        return self.config_file.is_file()

    def adapter(self, which: str, suffix: str = ".safetensors") -> Path:
        """The path of the "last" or the "best" adapter, whether it exists or not."""
        return self.path / f"{which}{suffix}"

    def check_new(self) -> None:
        """Raises SAMedError if a run is there already, or a file."""
        if self.path.is_file():
            raise SAMedError(f"{self.path} is a file; give a new folder for the run as --output.")
        if any((self.path / name).exists() for name in _OF_DATA):
            raise SAMedError(f"{self.path} is a folder of data; give a new folder for the run as --output.")
        if self.holds_a_run:
            raise SAMedError(f"{self.path} holds a run already; go on with --resume, or choose another --output.")

    @contextlib.contextmanager
    def only_trainer(self) -> Iterator[None]:
        """While this process trains here; the lock of one that is killed is free at once.

        Raises:
            SAMedError: if another process does.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        for folder in (self.path, self.figures):  # a run that was at its end writes there no more
            remove_leftovers(folder)
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise SAMedError(
                f"Another process trains in {self.path}; wait for its end, or choose another --output."
            ) from None
        except NotImplementedError:  # a network folder without locks
            yield
            return
        try:
            yield
        finally:
            lock.release()
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()

    def write_config(self, config: dict[str, Any]) -> None:
        with write_then_rename(self.config_file) as temporary:
            temporary.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def read_config(self) -> dict[str, Any]:
        """Raises SAMedError if there is no run, or its description is damaged."""
        if not self.holds_a_run:
            raise SAMedError(f"{self.path} holds no run to resume; leave out --resume to start one there.")
        config = read_json(self.config_file, "start a new run from last.safetensors")
        if not isinstance(config, dict) or not config.keys() >= _DESCRIPTION:
            raise SAMedError(f"{self.config_file} is not the description of a training run; start a new one.")
        return config

    def append(self, event: str, **values: Any) -> None:
        """Add one line to events.jsonl."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.events_file, "a", encoding="utf-8") as file:
            file.write(to_json_line({"event": event, **values}))

    def events(self) -> list[dict[str, Any]]:
        """What happened, without the steps that were done again after a resume.

        A run that died goes on from its last save, so the steps after that save are in the file twice. A line that was
        cut short when the run died is left out.
        """
        if not self.events_file.is_file():
            return []
        kept: list[dict[str, Any]] = []
        for line in self.events_file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            if not isinstance(event, dict):
                continue
            if event.get("event") == "resume":
                kept = [earlier for earlier in kept if earlier.get("step", 0) <= event["step"]]
            kept.append(event)
        return kept
