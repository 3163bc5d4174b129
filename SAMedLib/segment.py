"""`samed segment`: organs of a CT, of a DICOM folder, or of a folder of scans."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from SAMedLib.command import batch_size, make_parser, run
from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import Reporter
from SAMedLib.files import check_writable
from SAMedLib.ranks import has_partners, rank, share_processors, world_size

if TYPE_CHECKING:
    from SAMedLib.inference import OrganVolume, Segmenter
    from SAMedLib.inference.cases import Case
    from SAMedLib.inference.cohort import Outcome
    from SAMedLib.inference.pipeline import Choices, Outputs


def parser() -> argparse.ArgumentParser:
    options = make_parser("segment", "Segment abdominal organs in CT.")
    options.add_argument(
        "input", type=Path, metavar="INPUT", help="an image file, a folder of DICOM slices, or a folder of these"
    )
    options.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUTPUT",
        help=".seg.nrrd for coded segments; .nii.gz, .nii, .nrrd or .mha for labels; a folder for several scans, "
        "where results that exist are skipped",
    )
    options.add_argument("--model", default="tiny", metavar="NAME_OR_PATH", help="registry name or model file")
    options.add_argument("--base", metavar="NAME_OR_PATH", help="SAM weights that the model builds on, if not its own")
    of_pth = "pixels of {}, which a .pth does not tell (published: {})"
    options.add_argument("--image-size", type=int, metavar="S", help=of_pth.format("the network's input", 512))
    options.add_argument("--slice-size", type=int, metavar="S", help=of_pth.format("slices before that", 224))
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "fp32", "bf16", "int8"),
        help="bf16 is faster than fp32 and nearly exact; int8, on a CPU, is faster yet and less exact",
    )
    options.add_argument("--batch-size", type=batch_size, metavar="N", help="slices at once")
    options.add_argument("--tta", action="store_true", help="average over rotated (and mirrored) copies; slower")
    options.add_argument(
        "--stride",
        type=int,
        default=1,
        metavar="N",
        help="look at every N-th slice first, and at others only where organs reach them; for scans of much more than "
        "the abdomen (default: 1, every slice)",
    )
    options.add_argument("--organs", type=_names, default=(), metavar="A,B", help="only these organs")
    options.add_argument("--keep-largest", action="store_true", help="only the largest component of each organ")
    options.add_argument("--series", metavar="NUMBER_OR_UID", help="which series of a DICOM folder")
    options.add_argument("--frame", type=int, metavar="N", help="which frame of a 4D file, from 0")
    options.add_argument(
        "--format",
        default=".seg.nrrd",
        choices=(".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha"),
        help="extension of results in a folder",
    )
    options.add_argument("--table", type=Path, metavar="PATH", help="organ volumes in mL as .json or .csv")
    options.add_argument("--confidence", type=Path, metavar="PATH", help="map of the chosen class's probability")
    options.add_argument("--overview", type=Path, metavar="PATH", help="a .png to look at")
    options.epilog = "With a folder as OUTPUT, --confidence and --overview name folders too."
    return options


def main(argv: Sequence[str] | None = None) -> int:
    return run(parser(), _work, argv)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError("name at least one organ")
    return names


def _work(args: argparse.Namespace, report: Reporter) -> None:
    # torch comes in first through here: on Windows it must load its runtime before SimpleITK does
    from SAMedLib.inference import Segmenter
    from SAMedLib.inference.cases import find_cases
    from SAMedLib.inference.devices import precision_remark
    from SAMedLib.inference.pipeline import Choices
    from SAMedLib.inference.tables import check_table_path
    from SAMedLib.model import load_model
    from SAMedLib.model.load import assumed_sizes

    cases = find_cases(args.input)
    into_folder = _is_folder_output(args, cases)
    plan = [(case, _outputs_of(case, args, into_folder)) for case in cases]
    if args.table:
        check_writable(check_table_path(args.table))
    for path in filter(None, (args.output, args.confidence, args.overview)):
        check_writable(path, folder=into_folder)
    if not into_folder and has_partners() and rank():
        return  # a single scan, which the first process does
    report.progress("loading the model", 0, 1)
    share_processors()
    model = load_model(args.model, base=args.base, image_size=args.image_size, slice_size=args.slice_size)
    if assumed := assumed_sizes(args.model, args.image_size):
        report.note(assumed)
    model.metadata.label_set.select(args.organs)
    segmenter = Segmenter(
        model, args.device, args.precision, args.batch_size, args.tta, stride=args.stride, spare_memory=True
    )
    if remark := precision_remark(args.precision, segmenter.device):
        report.note(remark)
    report.progress("loading the model", 1, 1)
    choices = Choices(_model_name(args.model), args.organs, args.keep_largest, args.series, args.frame)
    if into_folder:
        _segment_all(plan, segmenter, choices, args, report)
    else:
        _segment_one(*plan[0], segmenter, choices, args, report)


def _segment_one(
    case: Case, outputs: Outputs, segmenter: Segmenter, choices: Choices, args: argparse.Namespace, report: Reporter
) -> None:
    from SAMedLib.inference.pipeline import notice, segment_file
    from SAMedLib.inference.tables import format_table

    organs = segment_file(segmenter, case.path, outputs, choices, report)
    _write_table(args.table, segmenter, choices, {case.name: organs})
    report.say(f"{format_table(organs)}\nWrote {outputs.labels}. {notice(segmenter.model.metadata)}")
    report.result(output=outputs.labels, volumes_ml=_millilitres(organs), notice=notice(segmenter.model.metadata))


def _segment_all(
    plan: Sequence[tuple[Case, Outputs]],
    segmenter: Segmenter,
    choices: Choices,
    args: argparse.Namespace,
    report: Reporter,
) -> None:
    """Every scan, or this process's share of them; one that fails is reported, and the others go on."""
    from SAMedLib.inference.cases import share
    from SAMedLib.inference.cohort import Outcome, join_cohort, work_through
    from SAMedLib.inference.pipeline import measure_file, segment_file

    plan = plan if has_partners() else share(plan)
    outcomes: list[Outcome] = []

    def work(number: int, report: Reporter) -> Outcome:
        case, outputs = plan[number]
        if outputs.labels.exists():
            organs = measure_file(outputs.labels, segmenter.model.metadata, choices)
            return Outcome(number, tuple(organs), skipped=True)
        return Outcome(number, tuple(segment_file(segmenter, case.path, outputs, choices, report)))

    def hear(outcome: Outcome) -> None:
        outcomes.append(outcome)
        _tell(outcome, *plan[outcome.scan], report)

    cohort = join_cohort(len(plan))
    try:
        work_through(cohort, [case.name for case, _ in plan], work, hear, report)
    except (Cancelled, KeyboardInterrupt):
        there = sum(outputs.labels.exists() for _, outputs in plan)
        report.note(f"{there} of {len(plan)} scans are done; the same command goes on from there.")
        raise
    if cohort.leads:
        _conclude(plan, sorted(outcomes, key=lambda outcome: outcome.scan), segmenter, choices, args, report)


def _tell(outcome: Outcome, case: Case, outputs: Outputs, report: Reporter) -> None:
    from SAMedLib.inference.tables import format_table

    for note in outcome.notes:
        report.note(note)
    if outcome.failure:
        report.note(f"{case.name} failed: {outcome.failure}")
    elif outcome.skipped:
        report.note(f"{case.name} is skipped: {outputs.labels} exists.")
    else:
        report.say(f"{case.name}\n{format_table(outcome.organs)}")


def _conclude(
    plan: Sequence[tuple[Case, Outputs]],
    outcomes: Sequence[Outcome],
    segmenter: Segmenter,
    choices: Choices,
    args: argparse.Namespace,
    report: Reporter,
) -> None:
    """The table, and the last words; SAMedError if a scan failed."""
    from SAMedLib.inference.pipeline import notice

    names = [case.name for case, _ in plan]
    done = {names[outcome.scan]: outcome.organs for outcome in outcomes if not outcome.failure}
    skipped = [names[outcome.scan] for outcome in outcomes if outcome.skipped]
    failures = [f"{names[outcome.scan]}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    _write_table(args.table, segmenter, choices, done)
    counts = f"{len(done) - len(skipped)} segmented, {len(skipped)} skipped, {len(failures)} failed"
    if failures:
        raise SAMedError(f"{counts} of {len(plan)} scans in {args.input}. {' '.join(failures)}")
    report.say(f"{counts}; results are in {args.output}. {notice(segmenter.model.metadata)}")
    volumes = {name: _millilitres(organs) for name, organs in done.items()}
    report.result(output=args.output, volumes_ml=volumes, skipped=skipped, notice=notice(segmenter.model.metadata))


def _is_folder_output(args: argparse.Namespace, cases: Sequence[Case]) -> bool:
    """Whether OUTPUT is a folder of results; raises SAMedError if it does not suit INPUT."""
    from SAMedLib.imaging.volume import LABEL_EXTENSIONS

    names_file = args.output.name.lower().endswith(LABEL_EXTENSIONS)
    if args.output.is_dir() or (not names_file and (len(cases) > 1 or not args.output.suffix)):
        folder = args.input if args.input.is_dir() else args.input.parent
        if args.output.resolve() == folder.resolve():
            raise SAMedError(f"{args.output} holds the input; give another folder for the results.")
        if args.output.is_file():
            raise SAMedError(f"{args.output} is a file; give a folder for the results of {len(cases)} scans.")
        return True
    if len(cases) > 1:
        raise SAMedError(f"{args.input} holds {len(cases)} scans; give a folder as OUTPUT, not {args.output.name}.")
    return False


def _outputs_of(case: Case, args: argparse.Namespace, into_folder: bool) -> Outputs:
    from SAMedLib.imaging.dicom import is_dicom_file
    from SAMedLib.imaging.overview import check_picture_path
    from SAMedLib.imaging.volume import check_label_path
    from SAMedLib.inference.pipeline import Outputs, check_confidence_path

    if into_folder:
        return Outputs(
            args.output / f"{case.name}{args.format}",
            args.confidence / f"{case.name}.nii.gz" if args.confidence else None,
            args.overview / f"{case.name}.png" if args.overview else None,
        )
    outputs = Outputs(
        check_label_path(args.output),
        check_confidence_path(args.confidence) if args.confidence else None,
        check_picture_path(args.overview) if args.overview else None,
    )
    written = [path.resolve() for path in (outputs.labels, outputs.confidence, outputs.overview, args.table) if path]
    if case.path.resolve() in written:
        raise SAMedError(f"{case.path} is the input and would be overwritten; give another output.")
    for path in written:  # a slice of the scan under another extension, say
        if path.parent == case.path.resolve() and is_dicom_file(path):
            raise SAMedError(f"{path} is part of the input and would be overwritten; give another output.")
    if len(set(written)) < len(written):
        raise SAMedError("Two outputs have the same name; give each its own.")
    return outputs


def _write_table(
    path: Path | None, segmenter: Segmenter, choices: Choices, cases: Mapping[str, Sequence[OrganVolume]]
) -> None:
    from SAMedLib.inference.pipeline import describe
    from SAMedLib.inference.tables import write_table

    if path is None:
        return
    if world_size() > 1 and not has_partners():  # each process tells of its own share
        path = path.with_name(f"{path.stem}.rank{rank()}{path.suffix}")
    write_table(path, describe(segmenter.model.metadata, choices, segmenter), cases)


def _millilitres(organs: Sequence[OrganVolume]) -> dict[str, float]:
    return {organ.name: round(organ.ml, 3) for organ in organs}


def _model_name(source: str) -> str:
    """The registry name, or the file's name without its folder."""
    return Path(source).name


if __name__ == "__main__":
    sys.exit(main())
