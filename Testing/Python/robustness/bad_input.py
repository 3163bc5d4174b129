"""Gives a command a bad input and holds it to the rules: one sentence, exit 1 or 2, nothing written or changed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Command = Callable[[Sequence[str]], int]

# what a sentence asks the reader to do
_REMEDY = re.compile(
    r"\b(add|build|change|check|choose|close|convert|copy|correct|download|end|export|free|get|give|go on|import"
    r"|install|keep|leave|make|map|merge|must|name|needs|prepare|put|relabel|remove|rename|resample|run|save|segment|start"
    r"|straighten|take|train|unpack|update|use|write)\b"
)
# argparse says which argument is wrong, after how to use the command
_ARGUMENT = re.compile(
    r"error: (argument .*: (invalid|expected|name)|the following arguments are required|unrecognized)"
)
# the program's insides, which mean nothing to a radiologist
_INSIDES = re.compile(r"Traceback|Unexpected failure|[a-z]Error\b|Exception|itk::|/ITK|<class|NoneType|0x[0-9a-f]{6}")


@dataclass(frozen=True)
class Bad:
    """One bad input.

    Attributes:
        name: what is wrong with it.
        make: writes it into a folder and returns what the command is given.
        says: a pattern that the sentence must hold.
    """

    name: str
    make: Callable[[Path], Path]
    says: str = ""

    def __str__(self) -> str:
        return self.name


def fingerprint(folder: Path) -> dict[str, str]:
    """Every entry below a folder: the digest of a file, the target of a link."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if path.is_symlink():
                found[str(path)] = f"link to {os.readlink(path)}"
            elif path.is_file():
                found[str(path)] = hashlib.sha256(_content(path)).hexdigest()
            else:
                found[str(path)] = "folder"
    return found


def _content(path: Path) -> bytes:
    return path.read_bytes() if os.access(path, os.R_OK) else b"unreadable"


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


class Trial:
    """Runs commands in this process on inputs below `inputs`, with `output` for their results."""

    def __init__(self, folder: Path, count: Callable[[str, int], None], heard: Callable[[], str]) -> None:
        self.inputs, self.output = folder / "in", folder / "out"
        self.inputs.mkdir()
        self._count, self._heard = count, heard

    def run(self, command: Command, arguments: Sequence[object]) -> tuple[int, str]:
        """Exit code and what was said on standard error; the inputs are as they were."""
        self._count("tried", 1)
        before = fingerprint(self.inputs)
        self._heard()
        try:
            code = command([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's way of saying 2
            code = end.code
        said = self._heard().strip()
        after = fingerprint(self.inputs)
        changed = [path for path in {*before, *after} if before.get(path) != after.get(path)]
        self._count("files lost", len(changed))
        assert not changed, f"changed inputs: {changed}"
        return code, said

    def refuse(self, command: Command, arguments: Sequence[object], names: str, says: str = "") -> str:
        """The command refuses, as the rules say; returns the sentence."""
        code, said = self.run(command, arguments)
        self.check_refusal(code, said, names, says)
        return said

    def check_refusal(self, code: int, said: str, names: str, says: str = "") -> None:
        assert code in (1, 2), f"exit code {code}, said {said!r}"
        lines = said.splitlines()
        sentence = lines[-1]
        if code == 1:
            assert len(lines) == 1, said
            assert sentence.endswith((".", ")", "?")), sentence
        assert not _INSIDES.search(said), said
        assert names in sentence, f"{names!r} is not in {sentence!r}"
        assert _REMEDY.search(sentence) or (code == 2 and _ARGUMENT.search(sentence)), f"no remedy in {sentence!r}"
        assert re.search(says, sentence), f"{says!r} is not in {sentence!r}"
        left = files_below(self.output) if self.output.exists() else []
        assert not left, f"left behind: {left}"
        self._count("one sentence", 1)

    def read_rightly(self) -> None:
        """The input was strange, yet there is nothing to refuse: count its result as right."""
        self._count("read rightly", 1)


def write_model(path: Path) -> Path:
    """The file of a small whole network with random weights."""
    import torch

    from SAMedLib.model import DecoderConfig, EncoderConfig, SAMed, SAMedConfig

    torch.manual_seed(0)
    network = SAMed(
        SAMedConfig(
            encoder=EncoderConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), window_size=4),
            decoder=DecoderConfig(embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32),
            image_size=64,
            slice_size=48,
            encoder_tuning="full",
            lora_targets=(),
        )
    )
    network.save_adapter(path)
    return path
