"""`samed demo`: make a CT with known organs, segment it with the embedded model, and say how well that went."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from SAMedLib.command import make_parser, run
from SAMedLib.events import Reporter

# never trained on (those seeds are below 100,000), and typical: its mean DSC is that of the held-out phantoms
DEMO_SEED = 200_004


def parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "demo", "Segment a made-up CT and compare the result with its known organs. Nothing is downloaded."
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), help="folder for the scan and the results")
    parser.add_argument("--model", default="tiny", help="registry name, model file or run folder")
    parser.add_argument("--seed", type=int, default=DEMO_SEED, help="which made-up patient")
    parser.add_argument(
        "--phase", choices=("none", "arterial", "portal", "late"), default="portal", help="contrast phase"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser


def work(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.data.phantom import make_phantom
    from SAMedLib.evaluation import evaluate_case
    from SAMedLib.files import check_writable, write_then_rename
    from SAMedLib.imaging.volume import read_labels, write_array, write_labels
    from SAMedLib.inference import Segmenter
    from SAMedLib.inference.pipeline import Choices, Outputs, notice, segment_file
    from SAMedLib.model import load_model

    check_writable(args.output, folder=True)
    segmenter = Segmenter(load_model(args.model), device=args.device)
    metadata = segmenter.model.metadata
    report.progress("making a phantom", 0, 1)
    phantom = make_phantom(args.seed, phase=args.phase, coverage="full", spacing=(1.6, 1.6, 4.0), in_plane=256)
    geometry = phantom.volume.geometry
    with write_then_rename(args.output / "ct.nii.gz") as temporary:
        write_array(temporary, phantom.volume.array, geometry)
    report.progress("making a phantom", 1, 1)
    outputs = Outputs(labels=args.output / "organs.seg.nrrd", overview=args.output / "overview.png")
    segment_file(segmenter, args.output / "ct.nii.gz", outputs, Choices(model=args.model), report)
    write_labels(args.output / "reference.seg.nrrd", phantom.labels, geometry, metadata.label_set)

    spacing = geometry.spacing[::-1]
    labels = read_labels(outputs.labels).array
    scores = evaluate_case(labels, phantom.labels, metadata.label_set, spacing=spacing, protocol="mm")
    report.say(score_table(scores))
    report.say(f"\nModel {args.model} on a made-up CT. {notice(metadata)}")
    report.say("\n".join(f"  {name}" for name in sorted(str(path) for path in args.output.glob("[!.]*"))))
    report.result(
        output=args.output,
        organs=[{"organ": s.organ, "dsc": s.dsc, "hd95_mm": s.hd95, "ml": s.predicted_ml} for s in scores],
    )


def score_table(scores: Sequence) -> str:
    """One line per organ: how much was found, how much there is, DSC and HD95."""
    lines = [f"{'organ':<14}{'mL':>8}{'true mL':>9}{'DSC':>7}{'HD95 mm':>9}"]
    for s in scores:
        dsc, hd95 = ("-" if value is None else f"{value:.{digits}f}" for value, digits in ((s.dsc, 3), (s.hd95, 1)))
        lines.append(f"{s.organ:<14}{s.predicted_ml:>8.1f}{s.reference_ml:>9.1f}{dsc:>7}{hd95:>9}")
    known = [s.dsc for s in scores if s.dsc is not None]
    if known:
        lines.append(f"{'mean':<14}{'':>17}{sum(known) / len(known):>7.3f}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    return run(parser(), work, argv)


if __name__ == "__main__":
    sys.exit(main())
