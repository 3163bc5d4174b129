"""`samed train`: train or finetune a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from SAMedLib.command import make_parser, run
from SAMedLib.errors import SAMedError
from SAMedLib.events import Reporter
from SAMedLib.json_files import read_json
from SAMedLib.training.options import CHOICES, MODEL_SIZES, TrainingOptions

_DEFAULTS = TrainingOptions(data="")
_NOT_OF_THE_RUN = ("config", "output", "resume", "check", "events", "stop_file")

DESCRIPTION = """Train SAMed on a dataset folder (prepared Synapse, or nnU-Net/MSD layout): from a SAM base, from an
adapter (published or ours, also with other labels), or from scratch. Without further options this is the published
training. Run it under torchrun to use several devices."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _recipe_arguments(parser, arguments) + arguments
    except SAMedError as error:
        parser.error(str(error))
    given = {argument.partition("=")[0] for argument in arguments}
    missing = [
        needed for needed, instead in (("--data", "--resume"), ("--output", "--check")) if not {needed, instead} & given
    ]
    if missing and not {"-h", "--help"} & given:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    return run(parser, _train, arguments)


def _train(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.training import resume, train
    from SAMedLib.training.memory import keep_freed_memory

    keep_freed_memory()
    given = {name: value for name, value in vars(args).items() if name not in _NOT_OF_THE_RUN}
    if args.check:
        _check(given, args, report)
    elif args.resume:
        resume(args.output, given, report)
    else:
        train(TrainingOptions(**given), args.output, report)


def _check(given: dict[str, Any], args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.training.check import check

    if args.resume:
        raise SAMedError("--check looks at a new run; leave out --resume.")
    found = check(TrainingOptions(**given), args.output, report)
    report.say(found.as_text())
    report.result(**found.to_json())


def _parser() -> argparse.ArgumentParser:
    """Options that are not given are absent from the result, so that a resume knows which ones were."""
    parser = make_parser("train", DESCRIPTION)
    parser.allow_abbrev = False

    def add(group: argparse._ArgumentGroup, name: str, help: str, default: str | None = None, **kwargs) -> None:
        value = getattr(_DEFAULTS, name.replace("-", "_")) if default is None else default
        described = f"{help} (default: {value})" if value not in (None, False, "") else help
        group.add_argument(f"--{name}", default=argparse.SUPPRESS, help=described, **kwargs)

    files = parser.add_argument_group("data and results")
    files.add_argument("--output", type=Path, metavar="RUN", help="folder of this run")
    files.add_argument("--check", action="store_true", help="look at data, time and memory; train and write nothing")
    files.add_argument("--resume", action="store_true", help="go on with the run in --output exactly where it stopped")
    files.add_argument("--config", type=Path, metavar="FILE.json", help="recipe: option names and values; these win")
    add(files, "data", "dataset folder", metavar="DIR")
    add(files, "val-data", "dataset folder to validate on", metavar="DIR")
    add(files, "val-cases", "cases to hold out for validation: a number, a fraction, or names", metavar="N|F|NAMES")
    often = "few enough to take less than 5 %% of the time, but ten in a run"
    add(files, "val-every", "epochs between validations", default=often, type=int, metavar="N")
    add(files, "save-every-minutes", "how often to save within an epoch", type=float, metavar="MIN")
    add(files, "save-pth", "also write adapters in the published layout", action="store_true")
    add(files, "demonstration", "mark the model as not meant for patients", action="store_true")

    model = parser.add_argument_group("model")
    others = "samed, or one to compare it with; these need MONAI"
    add(model, "network", others, default="that of --start, or samed", choices=CHOICES["network"])
    sizes = f"{', '.join(MODEL_SIZES)}, or a .json with encoder and decoder"
    add(model, "model-size", sizes, default="that of --start, or vit_b", metavar="SIZE")
    add(model, "base", "SAM weights: name or path", default="those that the size or --start asks for", metavar="BASE")
    add(model, "start", "model to go on from: name, adapter file or run folder", metavar="MODEL")
    add(model, "init", "scratch: no pretrained weights", choices=CHOICES["init"])
    add(model, "rank", "LoRA rank", default="4", type=int, metavar="R")
    add(model, "lora-targets", "of q, k, v, o", default="q,v", type=_names, metavar="T,T")
    add(
        model,
        "encoder-tuning",
        "what of the encoder is trained",
        default="lora; full for others",
        choices=CHOICES["encoder_tuning"],
    )
    add(model, "decoder-tuning", "lora is SAMed_s", default="full", choices=CHOICES["decoder_tuning"])
    add(
        model, "image-size", "pixels of the network's input", default="512, tiny 256, others 224", type=int, metavar="S"
    )
    add(model, "slice-size", "pixels that slices have before", default="224, tiny 256", type=int, metavar="S")
    add(
        model,
        "align-corners",
        "enlarge masks on the grid of the training's labels, which is more exact",
        default="no, as published",
        action=argparse.BooleanOptionalAction,
    )

    course = parser.add_argument_group("training")
    add(course, "epochs", "stop after these", type=int, metavar="N")
    add(course, "max-epochs", "where the rate reaches zero", default="5/4 of where it stops", type=int, metavar="N")
    add(course, "max-steps", "stop after these, if that is earlier", type=int, metavar="N")
    add(course, "batch-size", "slices per step, of all processes together", type=int, metavar="N")
    add(course, "accumulate", "parts of a step, to save memory", default="as memory asks", type=int, metavar="N")
    add(course, "lr", "highest learning rate", type=float, metavar="RATE")
    add(course, "warmup", "steps of warmup, 0 for none", default="250, a tenth of short runs", type=int, metavar="N")
    add(course, "schedule", "decay with power 0.9, or the paper's linear one", choices=CHOICES["schedule"])
    add(course, "optimizer", "optimizer", choices=CHOICES["optimizer"])
    add(course, "weight-decay", "weight decay", default="0.1 adamw, 0.0001 sgd", type=float, metavar="W")
    add(course, "dice-weight", "share of Dice in the loss", type=float, metavar="W")
    add(course, "loss-at", "compare at the size of the logits, or at the image's: finer", choices=CHOICES["loss_at"])
    add(course, "augmentation", "changes of the slices", choices=CHOICES["augmentation"])
    add(course, "clip", "largest gradient norm", default="none", type=float, metavar="NORM")
    add(course, "ema", "save a running mean of the weights with this decay", default="no mean", type=float, metavar="D")
    add(course, "precision", "arithmetic", choices=CHOICES["precision"])
    add(course, "device", "auto, cpu, cuda, cuda:N or mps", metavar="DEVICE")
    add(course, "seed", "of initialisation, order and augmentation", type=int, metavar="N")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _recipe_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> list[str]:
    """What a recipe says, as arguments to put before those of the command line, which so win."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    path = finder.parse_known_args(arguments)[0].config
    if path is None:
        return []
    try:
        recipe = read_json(path)
    except OSError as error:
        raise SAMedError(f"{path} cannot be read: {error.strerror}; give a recipe's file") from error
    if not isinstance(recipe, dict):
        raise SAMedError(f"{path} is not a recipe; write one JSON object of option names and values")
    known = {name for action in parser._actions for name in action.option_strings}
    result = []
    for key, value in recipe.items():
        option = "--" + str(key).replace("_", "-")
        if option not in known or option == "--config":
            raise SAMedError(f"{path} has the unknown option {key!r}; see samed train --help for the options")
        if value is True:
            result.append(option)
        elif isinstance(value, list):
            result.append(f"{option}={','.join(str(entry) for entry in value)}")
        elif value is not None and value is not False:
            result.append(f"{option}={value}")
    return result


if __name__ == "__main__":
    sys.exit(main())
