"""`samed experiment`: train and compare several runs, as a recipe says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from SAMedLib.command import make_parser, run
from SAMedLib.events import Reporter

_DESCRIPTION = """Train the runs that a recipe lists, score them on the test set by the paper's protocol, and write
tables and figures. Runs that are trained already are not trained again, interrupted ones go on, and recipes with the
same --output share the runs that they have in common. recipes/paper holds the paper's experiments."""


def parser() -> argparse.ArgumentParser:
    parser = make_parser("experiment", _DESCRIPTION)
    parser.add_argument("recipes", nargs="+", type=Path, metavar="RECIPE.json", help="what to train and report")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="dataset folder to train on")
    parser.add_argument(
        "--test-data",
        type=Path,
        metavar="DIR",
        help="test_vol_h5 or dataset folder to score on; not needed with a prepared Synapse folder, which holds both",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of runs and results")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="training options of all runs, as in samed train, for example epochs=20 device=cuda:1",
    )
    parser.add_argument(
        "--predictions",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="another method's label files for the test cases, to score before the runs; repeat for more",
    )
    parser.add_argument("--pictures", type=int, default=8, metavar="N", help="worst cases to show in the page")
    return parser


def work(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.experiments.job import run_experiments
    from SAMedLib.experiments.recipe import parse_overrides, read_recipe
    from SAMedLib.training.memory import keep_freed_memory

    keep_freed_memory()
    overrides = parse_overrides(args.set)
    recipes = [read_recipe(path) for path in args.recipes]
    results = run_experiments(
        recipes, args.data, args.output, args.test_data, overrides, args.predictions, args.pictures, report
    )
    report.result(results=results)


def main(argv: Sequence[str] | None = None) -> int:
    return run(parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())
