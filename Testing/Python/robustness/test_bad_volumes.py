"""Scans that are damaged or no CT are refused in one sentence, and nothing is written or changed."""

from __future__ import annotations

import os

import pytest

from containers import bad_containers
from SAMedLib.imaging.volume import read_labels, read_volume
from SAMedLib.segment import main
from volumes import bad_volumes, strange_volumes, whole


@pytest.mark.parametrize("bad", [*bad_volumes(), *bad_containers()], ids=str)
def test_a_bad_scan_is_refused(trial, model, bad):
    given = bad.make(trial.inputs)
    name = given.name[:100]
    trial.refuse(main, [given, "-o", trial.output / "organs.seg.nrrd", "--model", model], name, bad.says)


@pytest.mark.parametrize("strange", strange_volumes(), ids=str)
def test_a_scan_that_only_looks_bad_is_segmented_where_it_lies(trial, model, strange):
    given = strange.make(trial.inputs)
    output = trial.output / "organs.nrrd"
    code, said = trial.run(main, [given, "-o", output, "--model", model])
    assert code == 0, said
    found, wanted = read_labels(output).geometry, read_volume(given).geometry
    assert found.size == wanted.size
    assert abs(found.ijk_to_lps() - wanted.ijk_to_lps()).max() < 1e-9
    trial.read_rightly()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write everything")
def test_a_scan_that_may_not_be_read_is_refused(trial, model):
    path = trial.inputs / "scan.nii.gz"
    path.write_bytes(whole(".nii.gz"))
    path.chmod(0)
    trial.refuse(main, [path, "-o", trial.output / "organs.nrrd", "--model", model], path.name)
