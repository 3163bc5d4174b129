"""`samed devices`: where a model can run on this computer, why not elsewhere, and how long it takes."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from SAMedLib.command import count, make_parser, run
from SAMedLib.durations import in_words
from SAMedLib.errors import SAMedError
from SAMedLib.events import Reporter

if TYPE_CHECKING:
    from SAMedLib.inference.survey import Device, Survey

_HEADER = ("DEVICE", "WHAT IT IS", "A SLICE", "SLICES: {}", "FREE MEMORY")


def parser() -> argparse.ArgumentParser:
    options = make_parser("devices", "Where a model can run on this computer, and how long it takes there.")
    options.add_argument("--model", default="tiny", metavar="NAME_OR_PATH", help="the model that is measured")
    options.add_argument("--base", metavar="NAME_OR_PATH", help="SAM weights that the model builds on, if not its own")
    options.add_argument("--slices", type=count, default=150, metavar="N", help="of the scan to estimate for")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    return run(parser(), _work, argv)


def _work(args: argparse.Namespace, report: Reporter) -> None:
    report.progress("loading the model", 0, 1)
    from SAMedLib.inference.survey import survey
    from SAMedLib.model import load_model

    problem = None
    try:
        model = load_model(args.model, base=args.base)
    except SAMedError as error:
        # the devices are worth knowing also before the model is here
        model, problem = None, str(error)
    report.progress("loading the model", 1, 1)
    found = survey(model, report)
    report.say(_as_text(found, args.slices))
    if problem:
        report.note(f"No time was measured: {problem}")
    report.result(
        devices=[_as_json(device, args.slices) for device in found.devices],
        default=found.default,
        reason=found.reason,
        model=args.model,
        slices=args.slices,
        problem=problem,
        pytorch=metadata.version("torch"),
    )


def _as_json(device: Device, slices: int) -> dict:
    return {**dataclasses.asdict(device), "estimated_seconds": _estimate(device, slices)}


def _estimate(device: Device, slices: int) -> float | None:
    return None if device.seconds_per_slice is None else device.seconds_per_slice * slices


def _as_text(found: Survey, slices: int) -> str:
    usable = [_row(device, slices) for device in found.devices if device.usable]
    header = [title.format(slices) for title in _HEADER]
    widths = [max(len(row[column]) for row in (header, *usable)) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *usable)
    ]
    unusable = [f"{device.name}: not usable, {device.why}." for device in found.devices if not device.usable]
    reason = found.reason[0].upper() + found.reason[1:]
    return "\n".join([*lines, "", *unusable, f"Without --device, {found.default} is taken. {reason}."])


def _row(device: Device, slices: int) -> tuple[str, ...]:
    seconds, estimate = device.seconds_per_slice, _estimate(device, slices)
    return (
        device.name,
        device.title,
        "not known" if seconds is None else f"{seconds:.2g} s",
        "not known" if estimate is None else in_words(estimate),
        "not known" if device.memory_bytes is None else f"{device.memory_bytes / 1e9:.1f} GB",
    )


if __name__ == "__main__":
    sys.exit(main())
