"""Whatever is ended by SIGKILL leaves no half-written file under its name, and gets through the next time."""

from __future__ import annotations

import os
import random

import pytest

import kill_jobs
from killing import kill_until_through

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no SIGKILL")


@pytest.mark.parametrize("work", ["training", "segmenting", "preparing", "downloading"])
def test_killed_work_gets_through_as_if_undisturbed(work, tmp_path, tally):
    with getattr(kill_jobs, work)(tmp_path) as make:
        found = kill_until_through(make, kills=8, chance=random.Random(0))
    tally["faults", f"{work} killed", "tried"] += found.kills
    tally["faults", f"{work} killed", "files lost"] += len(found.wrong)
    assert not found.wrong, found.wrong
    tally["faults", f"{work} killed", "survived"] += found.kills
