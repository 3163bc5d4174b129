"""JSON that people write: read whatever editor it comes from, and refused in one sentence if it is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from SAMedLib.errors import SAMedError


def read_json(path: Path, remedy: str = "correct it") -> Any:
    """What a JSON file holds.

    Raises:
        SAMedError: if it is not JSON in UTF-8 (also with the mark that Windows puts before it), or no program could
            read it; the sentence ends in `remedy`.
        OSError: if the file cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        problem = "not text in UTF-8"
    except json.JSONDecodeError as error:
        problem = str(error)
    except RecursionError:
        problem = "nested too deeply"
    except ValueError:
        problem = "a number with too many digits"
    raise SAMedError(f"{path} is not readable JSON ({problem}); {remedy}.")
