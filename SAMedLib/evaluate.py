"""`samed evaluate`: predictions against references, or a model on a test set, in numbers and pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from SAMedLib.command import batch_size, make_parser, run
from SAMedLib.errors import SAMedError
from SAMedLib.events import Reporter
from SAMedLib.files import check_writable

_DESCRIPTION = """Score segmentations: Dice, HD95, HD, ASSD, NSD, volumes, sensitivity, precision.
Predictions are matched to references by case name and must lie on the same grid. Give --predictions or --model several
times to compare runs; the first is the baseline. Protocol paper gives numbers that can stand beside the paper's
Table 1; protocol mm is for clinical reading."""


def parser() -> argparse.ArgumentParser:
    parser = make_parser("evaluate", _DESCRIPTION)
    what = parser.add_argument_group("what to evaluate")
    what.add_argument(
        "--predictions",
        action="append",
        default=[],
        metavar="[NAME=]PATH",
        help="label file, or folder with one per case; repeat to compare",
    )
    what.add_argument("--references", type=Path, metavar="PATH", help="label file, or folder with one per case")
    what.add_argument("--images", type=Path, metavar="DIR", help="scans with the cases' names, behind the contours")
    what.add_argument("--common", action="store_true", help="score the cases that both folders have, skip the others")
    what.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME_OR_PATH",
        help="model that segments the cases of --data; repeat to compare",
    )
    what.add_argument("--base", type=Path, metavar="PATH", help="base weights of the models, if they are adapters")
    what.add_argument("--data", type=Path, metavar="DIR", help="prepared test_vol_h5, or a folder with dataset.json")
    labels = parser.add_argument_group("labels")
    labels.add_argument(
        "--labels", metavar="NAME_OR_JSON", help="organs to evaluate: synapse, a dataset.json or a label set's JSON"
    )
    labels.add_argument("--map", metavar="SOURCE=ORGAN,...", help="value, segment name or SNOMED code, of references")
    labels.add_argument("--map-predictions", metavar="SOURCE=ORGAN,...", help="the same for predictions")
    how = parser.add_argument_group("how")
    how.add_argument("--protocol", choices=("paper", "mm"), default="paper", help="voxels as published, or millimetres")
    how.add_argument("--tolerance", type=float, default=2.0, help="of the surface Dice, in the protocol's unit")
    how.add_argument("--engine", choices=("fast", "medpy"), default="fast", help="medpy: same numbers, slowly")
    how.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    how.add_argument("--precision", choices=("auto", "fp32", "bf16", "int8"), default="auto", help="of the model")
    how.add_argument("--batch-size", type=batch_size, metavar="N", help="slices at once (default: by device)")
    how.add_argument("--tta", action="store_true", help="average over small rotations of each slice")
    output = parser.add_argument_group("output, beside the table")
    output.add_argument("--csv", type=Path, metavar="PATH", help="one row per run, case and organ")
    output.add_argument("--json", type=Path, metavar="PATH", help="everything")
    output.add_argument("--html", type=Path, metavar="PATH", help="a page with plots and the worst cases' pictures")
    output.add_argument("--pictures", type=int, default=8, metavar="N", help="worst cases to show in the page")
    return parser


def work(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.evaluation.html import write_html
    from SAMedLib.evaluation.job import Options, evaluate
    from SAMedLib.evaluation.report import as_dict, as_text, write_csv, write_json

    _check_outputs(args)
    evaluation = evaluate(Options(**_options(args)), report)
    report.say(as_text(evaluation, bold=sys.stdout.isatty()))
    if args.csv:
        write_csv(evaluation, args.csv)
    if args.json:
        write_json(evaluation, args.json)
    if args.html:
        write_html(evaluation, args.html, args.pictures, report)
    summary = as_dict(evaluation)
    for one in summary["runs"]:
        del one["cases"]
    report.result(evaluation=summary, csv=args.csv, json=args.json, html=args.html)


def _check_outputs(args: argparse.Namespace) -> None:
    """Before the work: the reports can be written, and not over an input."""
    if args.pictures < 0:
        raise SAMedError(f"--pictures is {args.pictures}; it cannot be negative, so give 0 or more.")
    inputs = [Path(args.labels)] if args.labels else []
    inputs += [folder / "dataset.json" for folder in (args.data, args.references) if folder]
    for kind in ("csv", "json", "html"):
        path: Path | None = getattr(args, kind)
        if path is None:
            continue
        if path.suffix.lower() != f".{kind}":
            raise SAMedError(f"{path} is no name for the {kind.upper()} report; end it in .{kind}.")
        if path.resolve() in [one.resolve() for one in inputs]:
            raise SAMedError(f"{path} is an input and would be overwritten; give the report another name.")
        check_writable(path)


def _options(args: argparse.Namespace) -> dict:
    apart = ("events", "stop_file", "csv", "json", "html", "pictures")
    return {key: value for key, value in vars(args).items() if key not in apart}


def main(argv: Sequence[str] | None = None) -> int:
    return run(parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())
