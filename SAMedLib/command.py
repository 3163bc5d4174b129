"""What every command shares: the options, and how it ends.

Exit codes: 0 done, 1 the work failed (one sentence on standard error), 2 wrong arguments, 130 cancelled.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from SAMedLib.errors import Cancelled, SAMedError, is_out_of_memory
from SAMedLib.events import Reporter, reporter

DONE, FAILED, CANCELLED = 0, 1, 130


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
    args = parser.parse_args(argv)
    previous = _treat_termination_as_interrupt()
    one_of_several = int(os.environ.get("RANK", "0")) > 0  # torchrun's first process speaks for all
    try:
        with reporter(args.events, args.stop_file, silent=one_of_several) as report:
            try:
                work(args, report)
                return DONE
            except (Cancelled, KeyboardInterrupt):
                if not one_of_several:
                    report.error("Cancelled.")
                return CANCELLED
            except SAMedError as error:
                return _fail(report, str(error))
            except BrokenPipeError:
                raise
            except OSError as error:
                return _fail(report, _describe(error))
            except ModuleNotFoundError as error:
                return _fail(report, f"The Python package {error.name} is missing; install what SAMed needs, again.")
            except Exception as error:
                if is_out_of_memory(error):
                    return _fail(report, "Memory ran out; close other programs or use a smaller batch.")
                sentence = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
                return _fail(report, f"Unexpected failure, please report it with SAMED_DEBUG=1 set: {sentence}.")
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


def _describe(error: OSError) -> str:
    # a failed rename names the temporary file first, and second the one that the user knows
    path = error.filename2 or error.filename
    if path and isinstance(error, (FileExistsError, NotADirectoryError)):
        return f"{path} is a file, or below one, where a folder is needed; give another path."
    if path and isinstance(error, IsADirectoryError):
        return f"{path} is a folder where a file is needed; give another path."
    reason = error.strerror or str(error) or type(error).__name__
    return f"{path}: {reason}." if path else f"{reason}."


def _treat_termination_as_interrupt():
    """Let SIGTERM unwind like Ctrl-C, so that temporary files are removed; None where that is not possible."""
    try:
        return signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    except ValueError:  # not the main thread
        return None
