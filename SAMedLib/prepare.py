"""`samed prepare`: bring data into a form that training and evaluation read."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from SAMedLib.command import add_subcommand, make_parser, run
from SAMedLib.events import Reporter


def main(argv: Sequence[str] | None = None) -> int:
    return run(_parser(), lambda args, report: args.work(args, report), argv)


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("prepare", "Bring data into a form that training and evaluation read.")
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    _add_synapse(kinds)
    _add_segmentations(kinds)
    _add_phantoms(kinds)
    return parser


def _add_synapse(kinds) -> None:
    parser = add_subcommand(
        kinds,
        "synapse",
        "Turn the raw BTCV abdomen data into training slices and test volumes, with the paper's split and labels.",
    )
    parser.set_defaults(work=_prepare_synapse)
    parser.add_argument("raw", type=Path, help="folder with img/img0001.nii.gz and label/label0001.nii.gz in it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the prepared data")
    parser.add_argument(
        "--slice-size", type=int, default=224, help="side of the training slices; 0 keeps their own size"
    )


def _add_segmentations(kinds) -> None:
    parser = add_subcommand(
        kinds,
        "segmentations",
        "Pair scans and segmentations by name and put them into a dataset folder in nnU-Net's layout.",
    )
    parser.set_defaults(work=_prepare_segmentations)
    parser.add_argument("images", type=Path, help="folder of scans (files, or one DICOM folder each), or one scan")
    parser.add_argument("segmentations", type=Path, help="folder of .seg.nrrd or label files, or one of them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="dataset folder, new or to be added to")
    parser.add_argument(
        "--labels",
        metavar="NAME=VALUE,...",
        help="what the values in label files mean, e.g. liver=1,spleen=2; for .seg.nrrd names alone choose segments",
    )


def _add_phantoms(kinds) -> None:
    parser = add_subcommand(kinds, "phantoms", "Make labelled abdominal CT phantoms, in nnU-Net's layout.")
    parser.set_defaults(work=_prepare_phantoms)
    parser.add_argument("-o", "--output", type=Path, required=True, help="dataset folder, new or to be added to")
    parser.add_argument("--cases", type=int, default=20, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="case number i is the phantom of seed + i")
    parser.add_argument("--in-plane", type=int, help="columns and rows of every phantom; random without")
    parser.add_argument("--slices", dest="num_slices", type=int, help="slices of every phantom; random without")
    coverages = ("random", "full", "upper", "few", "lower", "pelvis", "chest", "hips")
    parser.add_argument("--coverage", choices=coverages, default="random", help="what part of the patients is scanned")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")


def _prepare_synapse(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.data.synapse import prepare_synapse

    summary = prepare_synapse(args.raw, args.output, report, slice_size=args.slice_size)
    report.say(
        f"{args.output}: {summary.slices} training slices of {len(summary.train)} cases and {len(summary.test)} test "
        "volumes."
    )
    report.result(output=args.output, slices=summary.slices, train=summary.train, test=summary.test)


def _prepare_segmentations(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.data.pairing import collect_segmentations, parse_labels

    labels = parse_labels(args.labels) if args.labels else None
    added = collect_segmentations(args.images, args.segmentations, args.output, labels, report)
    report.say(f"{args.output}: {len(added)} cases added.")
    report.result(output=args.output, added=added)


def _prepare_phantoms(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.data.phantom_cases import write_phantoms

    made = write_phantoms(
        args.output,
        args.cases,
        args.seed,
        in_plane=args.in_plane,
        num_slices=args.num_slices,
        coverage=args.coverage,
        workers=args.workers,
        report=report,
    )
    report.say(f"{args.output}: {len(made)} phantoms made, {args.cases - len(made)} were there.")
    report.result(output=args.output, made=made)


if __name__ == "__main__":
    sys.exit(main())
