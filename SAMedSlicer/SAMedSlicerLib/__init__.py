"""The panel behind SAMedSlicer.py: one class per file, everything it needs handed in."""

import importlib.util
import sys
from pathlib import Path

# Installed, SAMedLib lies beside this package. In a source checkout it is one folder further up, which Slicer does not
# search.
if importlib.util.find_spec("SAMedLib") is None:
    sys.path.append(str(Path(__file__).resolve().parents[2]))
