"""Write SAMedSlicer/PackagedFiles.cmake: every file of the module and of SAMedLib, all that an install holds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIST = REPOSITORY / "SAMedSlicer" / "PackagedFiles.cmake"
_HEADING = """\
# Written by Testing/packaging/list_files.py; run it after adding, renaming or removing a file of either package.
# Scripts are byte-compiled, resources only copied. What is not listed is not installed.
"""


def as_cmake(repository: Path = REPOSITORY) -> str:
    """The content that the list should have."""
    module, library = repository / "SAMedSlicer", repository / "SAMedLib"
    resources = _files(module / "Resources")
    scripts = [*module.glob("*.py"), *_files(module / "SAMedSlicerLib")]
    stray = [path for path in scripts if path.suffix != ".py"]
    if stray:
        raise ValueError(f"{stray[0]} is no Python file; what the module reads belongs into Resources.")
    belonging = _files(library)
    lists = {
        "SAMedSlicer_SCRIPTS": _relative(scripts, module),
        "SAMedSlicer_RESOURCES": _relative(resources, module),
        "SAMedLib_SCRIPTS": _relative([path for path in belonging if path.suffix == ".py"], repository),
        "SAMedLib_RESOURCES": _relative([path for path in belonging if path.suffix != ".py"], repository),
    }
    blocks = [f"set({name}\n" + "".join(f"  {file}\n" for file in files) + "  )\n" for name, files in lists.items()]
    return "\n".join([_HEADING, *blocks])


def _files(folder: Path) -> list[Path]:
    """All files below, but for what Python or an editor leaves behind."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if path.suffix != ".pyc" and not _hidden(path.relative_to(folder))]


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__pycache__")) for part in path.parts)


def _relative(paths: Iterable[Path], folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def main() -> int:
    content = as_cmake()
    if LIST.is_file() and LIST.read_text(encoding="utf-8") == content:
        return 0
    LIST.write_text(content, encoding="utf-8", newline="\n")
    print(f"{LIST.relative_to(REPOSITORY)} rewritten")
    return 0


if __name__ == "__main__":
    sys.exit(main())
