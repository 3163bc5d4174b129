"""What every command shares: the options, and how it ends.

Exit codes: 0 done, 1 the work failed (one sentence on standard error), 2 wrong arguments, 130 cancelled.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import Reporter, reporter
from SAMedLib.failures import sentence_of
from SAMedLib.ranks import rank

DONE, FAILED, CANCELLED = 0, 1, 130
_LARGEST_BATCH = 4096
_LARGEST_COUNT = 1_000_000


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Tells defaults, except those that say nothing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default is False or action.default in ((), [])
        return action.help if silent else super()._get_help_string(action)


def make_parser(command: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that every command has."""
    parser = argparse.ArgumentParser(prog=f"samed {command}", description=description, formatter_class=_HelpFormatter)
    group = parser.add_argument_group("running under another program")
    group.add_argument("--events", action="store_true", help="one JSON object per line on standard output")
    group.add_argument("--stop-file", type=Path, metavar="PATH", help="cancel as soon as this file exists")
    return parser


def batch_size(text: str) -> int:
    """For --batch-size: a number of slices."""
    return _whole_number(text, _LARGEST_BATCH)


def count(text: str) -> int:
    """For an option that counts something and cannot be 0."""
    return _whole_number(text, _LARGEST_COUNT)


def _whole_number(text: str, most: int) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {most}, not {text[:40]!r}")
    return int(text)


def add_subcommand(subparsers, name: str, description: str) -> argparse.ArgumentParser:
    """A parser for one kind of work of a command; the options that every command has may stand behind it too."""
    parser = subparsers.add_parser(name, help=description, description=description, formatter_class=_HelpFormatter)
    # no default here, or it would undo what was given before the subcommand
    parser.add_argument("--events", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--stop-file", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def run(
    parser: argparse.ArgumentParser, work: Callable[[argparse.Namespace, Reporter], None], argv: Sequence[str] | None
) -> int:
    """Parse `argv`, do `work`, and turn every way of ending into an exit code and at most one sentence.

    Set SAMED_DEBUG=1 to see the traceback of a failure.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # what stands in for a stream may lack it
            stream.reconfigure(errors="backslashreplace")  # a file's name may hold what the terminal cannot show
    args = parser.parse_args(argv)
    previous = _treat_termination_as_interrupt()
    one_of_several = rank() > 0  # torchrun's first process speaks for all
    try:
        with reporter(args.events, args.stop_file, silent=one_of_several) as report:
            try:
                _check_text(args)
                work(args, report)
                return DONE
            except (Cancelled, KeyboardInterrupt):
                if not one_of_several:
                    report.error("Cancelled.")
                return CANCELLED
            except BrokenPipeError:
                raise
            except Exception as error:
                return _fail(report, sentence_of(error))
    except BrokenPipeError:
        # whoever read our output went away; there is nobody left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _fail(report: Reporter, sentence: str) -> int:
    if os.environ.get("SAMED_DEBUG"):
        traceback.print_exc(file=sys.stderr)
    report.error(sentence)
    return FAILED


def _check_text(args: argparse.Namespace) -> None:
    """Refuse what no file system and no terminal takes, before some library ends the process over it."""
    for name, value in vars(args).items():
        for entry in value if isinstance(value, (list, tuple)) else (value,):
            text = str(entry) if isinstance(entry, (str, Path)) else ""
            if "\0" in text or text != text.encode("utf-8", "replace").decode("utf-8"):
                option = name.replace("_", "-")
                raise SAMedError(f"{text!r}, given as {option}, is not valid text (UTF-8); rename or correct it.")


def _treat_termination_as_interrupt():
    """Let SIGTERM unwind like Ctrl-C, so that temporary files are removed; None where that is not possible."""
    try:
        return signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    except ValueError:  # not the main thread
        return None
