"""`python -m SAMedLib COMMAND`, also installed as `samed COMMAND`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from SAMedLib import __version__

# command: (module with a main(argv), what it does)
COMMANDS = {
    "segment": ("SAMedLib.segment", "segment a CT, a DICOM folder, or a folder of cases"),
    "train": ("SAMedLib.train", "train or finetune a model"),
    "evaluate": ("SAMedLib.evaluate", "DSC, HD95 and more, of predictions or of a model"),
    "experiment": ("SAMedLib.experiment", "train and compare several runs, as a recipe says"),
    "prepare": ("SAMedLib.prepare", "make a dataset: Synapse (BTCV), own segmentations, phantoms"),
    "devices": ("SAMedLib.devices", "where a model can run here, and how long it takes"),
    "benchmark": ("SAMedLib.benchmark", "how fast this is here, beside the published algorithm"),
    "weights": ("SAMedLib.weights.__main__", "list, download, import and describe model files"),
    "web": ("SAMedLib.web.__main__", "a workbench in the browser, for those without 3D Slicer"),
    "demo": ("SAMedLib.demo", "segment a made-up CT with the embedded model"),
}


def usage() -> str:
    lines = ["usage: samed COMMAND [options]", "", "commands:"]
    lines += [f"  {name:<10} {description}" for name, (_, description) in COMMANDS.items()]
    lines += ["", "samed COMMAND --help tells a command's options; samed --version the version."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["--help"], ["-h"]):
        print(usage())
        return 0
    if arguments[:1] == ["--version"]:
        print(__version__)
        return 0
    if not arguments or arguments[0] not in COMMANDS:
        problem = f"There is no command {arguments[0]!r}." if arguments else "Which command?"
        print(f"{problem}\n\n{usage()}", file=sys.stderr)
        return 2
    module, _ = COMMANDS[arguments[0]]
    return importlib.import_module(module).main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
