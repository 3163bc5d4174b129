"""The self-tests for the real application, in its stand-in: they at least run, and mean what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import slicer_host

TESTING = Path(__file__).resolve().parents[1]
RUN = """
import sys, unittest
import slicer_host
application = slicer_host.boot()
import slicer
slicer_host.loadModule(sys.argv[1])
slicer.app.setTestingEnabled(True)
names = [f"SAMedSlicerSelfTest.SAMedSlicerSelfTest.{name}" for name in sys.argv[2:]]
result = unittest.TextTestRunner(verbosity=2).run(unittest.TestLoader().loadTestsFromNames(names))
raised = application.errors.take()
print(*raised, sep="\\n")
sys.exit(not result.wasSuccessful() or len(result.skipped) or len(raised))
"""


@pytest.mark.parametrize(
    "name",
    [
        "test_nothing_heavy_is_imported_and_the_three_tabs_are_there",
        "test_organs_are_segmented_and_evaluated",
    ],
)
def test_the_self_test_passes(name, tmp_path):
    reason = slicer_host.reasonNotToBoot()
    if reason is not None:
        pytest.skip(f"the panel is not tested: {reason}")
    paths = [TESTING, TESTING / "Slicer", TESTING.parent / "SAMedSlicer", TESTING.parent]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "SAMED_HOME": str(tmp_path / "home"),
        "OMP_NUM_THREADS": "1",
    }
    module = TESTING.parent / "SAMedSlicer" / "SAMedSlicer.py"
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(module), name], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
