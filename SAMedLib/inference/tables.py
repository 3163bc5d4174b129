"""Organ volumes for people (a table in the terminal) and for programs (JSON, CSV)."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError
from SAMedLib.files import write_then_rename
from SAMedLib.imaging.organ_volumes import OrganVolume

_OF_RECORD = ("model", "notice", "software")  # columns of a CSV
TABLE_EXTENSIONS = (".json", ".csv")


def format_table(organs: Sequence[OrganVolume]) -> str:
    """Name and mL of every organ, one a line."""
    width = max(len(organ.name) for organ in organs)
    lines = [f"{'organ':<{width}}  {'mL':>8}"]
    for organ in organs:
        amount = f"{organ.ml:8.1f}" if organ.voxels else f"{'-':>8}"
        remark = "  reaches the edge of the scan" if organ.cut else "" if organ.voxels else "  not found"
        lines.append(f"{organ.name:<{width}}  {amount}{remark}")
    return "\n".join(lines)


def check_table_path(path: Path) -> Path:
    """Raises SAMedError unless the extension is .json or .csv."""
    if path.suffix.lower() not in TABLE_EXTENSIONS:
        raise SAMedError(f"{path} has no extension for a table; end it in {' or '.join(TABLE_EXTENSIONS)}.")
    return path


def write_table(path: Path, record: Mapping[str, Any], cases: Mapping[str, Sequence[OrganVolume]]) -> None:
    """Write the volumes of all cases.

    JSON: {**record, "cases": [{"case", "organs": [{"name", "value", "voxels", "ml", "cut"}]}]}.
    CSV: a line per case and organ with the same columns, and the record's model, notice and software.

    Args:
        record: what made the results, see `describe`.

    Raises:
        SAMedError: if the extension is neither.
    """
    check_table_path(path)
    with write_then_rename(path) as temporary:
        if path.suffix.lower() == ".json":
            entries = [{"case": case, "organs": [asdict(organ) for organ in organs]} for case, organs in cases.items()]
            document = {**record, "cases": entries}
            temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            return
        with open(temporary, "w", encoding="utf-8", newline="") as handle:
            rows = csv.writer(handle)
            rows.writerow(["case", "name", "value", "voxels", "ml", "cut", *_OF_RECORD])
            for case, organs in cases.items():
                for organ in organs:
                    rows.writerow([case, *asdict(organ).values(), *(record[name] for name in _OF_RECORD)])
