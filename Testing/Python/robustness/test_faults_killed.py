"""Whatever is ended by SIGKILL leaves no half-written file under its name, and gets through the next time."""

from __future__ import annotations

import json
import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest

import kill_jobs
from killing import kill_until_through, run_and_kill
from SAMedLib import files as files_module
from SAMedLib.files import remove_leftovers, write_together

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no SIGKILL")


def _killed_at_rename(number: int, folder: Path) -> int:
    replace, done = os.replace, []

    def counted(*arguments) -> None:
        if len(done) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(replace(*arguments))

    os.replace = counted
    with write_together(folder / "scans" / "a.txt", folder / "labels" / "b.txt") as (scan, labels):
        scan.write_text("new scan")
        labels.write_text("new labels")
    return 0


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_files_that_belong_together_are_all_old_or_all_new(number, there, tmp_path, tally):
    files = {"scans/a.txt": "scan", "labels/b.txt": "labels"}
    for name, text in files.items() if there else ():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    tally["faults", "pair killed", "tried"] += 1
    assert run_and_kill(partial(_killed_at_rename, number, tmp_path), None) is None
    for name in ("labels", "scans"):
        remove_leftovers(tmp_path / name)
    old = files if there else {}
    expected = old if number == 0 else {name: f"new {text}" for name, text in files.items()}
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == expected
    tally["faults", "pair killed", "survived"] += 1


@pytest.mark.parametrize("target", ["../../evil.txt", "/tmp/evil.txt", "scans/../../../evil.txt"])
def test_a_plan_in_a_strangers_dataset_reaches_no_further_than_that(target, tmp_path):
    folder = tmp_path / "data" / "scans" / f".samed-{files_module._here()}-999999999-x"
    folder.mkdir(parents=True)
    (folder / "evil").write_text("evil")
    (folder / "plan.json").write_text(json.dumps({"evil": target, "../../../own.txt": "own.txt"}))
    (tmp_path / "own.txt").write_text("mine")
    remove_leftovers(folder.parent)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"own.txt"}
    assert not Path("/tmp/evil.txt").exists()


@pytest.mark.parametrize("work", ["training", "segmenting", "preparing", "downloading"])
def test_killed_work_gets_through_as_if_undisturbed(work, tmp_path, tally):
    with getattr(kill_jobs, work)(tmp_path) as make:
        found = kill_until_through(make, kills=5, chance=random.Random(0))
    tally["faults", f"{work} killed", "tried"] += found.kills
    tally["faults", f"{work} killed", "files lost"] += len(found.wrong)
    assert not found.wrong, found.wrong
    tally["faults", f"{work} killed", "survived"] += found.kills
