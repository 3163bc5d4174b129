"""`samed benchmark`: how fast this machine is, with the published algorithm beside it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from SAMedLib.command import count, make_parser, run
from SAMedLib.errors import SAMedError, is_out_of_memory
from SAMedLib.events import Reporter
from SAMedLib.files import check_writable, write_then_rename

TASKS = ("slice", "peak", "zoom", "augmentation", "training", "evaluation", "start", "alternative")
_NOT_QUICK = {"alternative"}
_QUICK_ROUNDS = 3
_QUICK_VOLUME = (48, 192, 192)


def parser() -> argparse.ArgumentParser:
    options = make_parser(
        "benchmark",
        "Measure SAMed on this machine with the published algorithm beside it, in turns. Networks have random weights; "
        "nothing is downloaded. ViT-B on a CPU takes about ten minutes.",
    )
    options.add_argument("--quick", action="store_true", help="the embedded model's size, small volumes: a minute")
    options.add_argument("--only", type=_tasks, metavar="A,B", help=f"of {', '.join(TASKS)}")
    options.add_argument(
        "--size", choices=("vit_b", "vit_l", "vit_h", "tiny"), help="of the network; vit_b, or tiny with --quick"
    )
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    options.add_argument("--threads", type=count, metavar="N", help="of the CPU; PyTorch's choice by itself")
    options.add_argument("--rounds", type=count, metavar="N", help="of each task; what suits each by itself")
    options.add_argument("--batch-size", type=count, metavar="N", help="slices at once for ours, as samed segment")
    options.add_argument(
        "--training-batch", type=count, metavar="N", help="slices of a training step; 2 on a CPU, 12 on a GPU"
    )
    options.add_argument("--keep-memory", action="store_true", help="malloc keeps freed memory, for both (Linux)")
    options.add_argument("--chart", type=Path, metavar="PATH", help="a bar chart as .png")
    options.add_argument("--json", type=Path, metavar="PATH", help="all figures as .json")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    return run(parser(), _work, argv)


def _tasks(text: str) -> tuple[str, ...]:
    names = {name.strip() for name in text.split(",")}
    if not names <= set(TASKS):
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(TASKS)}, not {text[:40]!r}")
    return tuple(task for task in TASKS if task in names)


def _work(args: argparse.Namespace, report: Reporter) -> None:
    for path, extension in ((args.chart, ".png"), (args.json, ".json")):
        if path and path.suffix.lower() != extension:
            raise SAMedError(f"{path} must end in {extension}.")
        if path:
            check_writable(path)
    chosen = args.only or tuple(task for task in TASKS if not (args.quick and task in _NOT_QUICK))
    report.progress("benchmark", 0, len(chosen), "starting")
    import torch

    from SAMedLib.benchmarks import report as reports
    from SAMedLib.benchmarks.measures import MEASURES
    from SAMedLib.benchmarks.tasks import FULL_VOLUME, LeftOut, Setting
    from SAMedLib.inference import choose_device
    from SAMedLib.model import EncoderConfig, SAMedConfig
    from SAMedLib.training.memory import keep_freed_memory

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.keep_memory:
        keep_freed_memory()
    size = args.size or ("tiny" if args.quick else "vit_b")
    config = SAMedConfig.tiny() if size == "tiny" else SAMedConfig(encoder=getattr(EncoderConfig, size)())
    device = choose_device(args.device)
    setting = Setting(
        config,
        size,
        device,
        rounds=args.rounds or (_QUICK_ROUNDS if args.quick else None),
        volume=_QUICK_VOLUME if args.quick else FULL_VOLUME,
        batch_size=args.batch_size,
        training_batch=args.training_batch or (12 if device.type == "cuda" else 2),
    )
    of = reports.machine(device)
    report.say(reports.heading(of))
    results = []
    for task in chosen:
        try:
            results.append(MEASURES[task](setting, report))
        except LeftOut as reason:
            report.note(f"{task} is left out: {reason}.")
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            report.note(f"{task} is left out: memory ran out.")
        else:
            report.say(f"\n{reports.table(results[-1])}")
    if whole := reports.summary(results):
        report.say(f"\n{whole}")
    if args.json:
        with write_then_rename(args.json) as temporary:
            temporary.write_text(json.dumps(reports.as_data(results, of), indent=1), encoding="utf-8")
    if args.chart:
        with write_then_rename(args.chart) as temporary:
            reports.chart(results, of).savefig(temporary, dpi=130)
    report.result(**reports.as_data(results, of), chart=args.chart, json=args.json)


if __name__ == "__main__":
    sys.exit(main())
