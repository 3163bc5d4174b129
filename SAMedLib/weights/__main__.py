"""`python -m SAMedLib.weights`: list, download, import, look into, convert and remove weights."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from SAMedLib import command
from SAMedLib.errors import SAMedError
from SAMedLib.events import Reporter


def build_parser() -> argparse.ArgumentParser:
    parser = command.make_parser("weights", "Model weights: what there is, where it is, and how to get it.")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = command.add_subcommand(actions, "list", "Models and files: present or not, how large, where.")
    listing.add_argument("--json", action="store_true", help="as JSON")

    download = command.add_subcommand(
        actions, "download", "Get files from the internet; a model's name gets all it needs."
    )
    download.add_argument("names", nargs="+", metavar="NAME", help="a model or a file, as in 'list'")

    importing = command.add_subcommand(
        actions, "import", "Take in a file that came another way, for example on a USB stick."
    )
    importing.add_argument("path", type=Path, metavar="PATH", help=".pth or .safetensors; it stays where it is")
    importing.add_argument("--name", help="the model or file that it is, or a new model's name")

    info = command.add_subcommand(actions, "info", "What a model or file says about itself.")
    info.add_argument("source", metavar="NAME_OR_PATH")
    info.add_argument("--json", action="store_true", help="as JSON")

    convert = command.add_subcommand(
        actions, "convert", "Write an adapter in the other format: .pth (published) or .safetensors (ours)."
    )
    convert.add_argument("source", metavar="IN", help="a model's name, or a file")
    convert.add_argument("target", type=Path, metavar="OUT", help="its ending, .pth or .safetensors, decides")
    help = "pixels of a .pth's {}, if not the published {}"
    convert.add_argument("--image-size", type=int, metavar="S", help=help.format("network input", 512))
    convert.add_argument("--slice-size", type=int, metavar="S", help=help.format("slices before that", 224))

    remove = command.add_subcommand(actions, "remove", "Delete a file, or a model's adapter, from the weights folder.")
    remove.add_argument("name", metavar="NAME")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return command.run(build_parser(), _work, argv)


def _work(args: argparse.Namespace, report: Reporter) -> None:
    {
        "list": _list,
        "download": _download,
        "import": _import,
        "info": _info,
        "convert": _convert,
        "remove": _remove,
    }[args.action](args, report)


def _list(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.weights import listing, store

    inventory = listing.inventory(store.default_store())
    report.say(json.dumps(inventory, indent=2) if args.json else listing.as_text(inventory))
    report.result(**inventory)


def _download(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.weights import store

    paths = [store.download(name, report) for name in args.names]
    for name, path in zip(args.names, paths, strict=True):
        report.say(f"{name}: {path}")
    report.result(files=paths)


def _import(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.weights import store

    path = store.import_file(args.path, args.name, report)
    report.say(f"Imported as {path}")
    report.result(files=[path])


def _info(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.weights import listing, store

    path = _path_of(args.source)
    about = listing.about(path, store.default_store())
    report.say(json.dumps(about, indent=2) if args.json else listing.about_as_text(about))
    report.result(**about)


def _convert(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.weights import conversion

    conversion.convert(_path_of(args.source), args.target, report, args.image_size, args.slice_size)
    report.say(f"Wrote {args.target}")
    report.result(files=[args.target])


def _remove(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.weights import store

    removed = store.default_store().remove(args.name)
    report.say("\n".join(f"Removed {path}" for path in removed))
    report.result(files=removed)


def _path_of(source: str) -> Path:
    """A file, or the file behind a registry name."""
    from SAMedLib.weights import store

    if Path(source).is_file():
        return Path(source)
    weights = store.default_store()
    if source in weights.model_names():
        return weights.locate(weights.model_entry(source).adapter)
    if weights.registry.find_file(source):
        return weights.locate(source)
    raise SAMedError(
        f"{source} is neither a file nor a model; choose from {', '.join(weights.model_names())} "
        f"(see 'samed weights list')."
    )


if __name__ == "__main__":
    sys.exit(main())
