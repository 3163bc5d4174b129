"""From a volume in the scene to segments in the scene, through the command that the panel runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from SAMedLib.organs import SYNAPSE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def phantom():
    from SAMedLib.data.phantom import make_phantom

    return make_phantom(seed=3, size=(112, 96, 8), spacing=(3.5, 3.5, 30.0), coverage="full")


def segment(source: Path, output: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "SAMedLib", "segment", str(source), "-o", str(output), "--device", "cpu"]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=600)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_segments_are_what_the_command_computed_wherever_the_volume_is(scene, tmp_path, phantom):
    import mrml_scene as m
    from SAMedLib.imaging.volume import read_labels
    from SAMedSlicerLib.InputVolume import checkVolume, writeVolume
    from SAMedSlicerLib.SegmentationReader import SegmentationReader
    from SAMedSlicerLib.SegmentationWriter import SegmentationWriter

    ijk_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ phantom.volume.geometry.ijk_to_lps()
    tilt = m.affine(m.rotation(0.02, 0.0, 0.05))
    volume = m.under(m.add_volume(scene, phantom.volume.array, ijk_to_ras @ tilt, "Phantom"), m.add_grid(scene))
    assert checkVolume(volume) == []
    source, output = tmp_path / "Größe in.nrrd", tmp_path / "Größe out.nrrd"
    writeVolume(volume, source)
    segment(source, output)
    writer, reader = SegmentationWriter(), SegmentationReader()
    labels = writer.readLabels(output)
    info = writer.readModelInfo(output)
    segmentation = writer.write(labels, volume, SYNAPSE, name="organs", modelInfo=info)

    computed = read_labels(output).array
    found = reader.labels(segmentation, volume, reader.match(reader.segmentsOf(segmentation), SYNAPSE))
    np.testing.assert_array_equal(found, computed)
    for name, mask in m.export_to_volume(segmentation, volume).items():
        np.testing.assert_array_equal(mask, computed == SYNAPSE[name].value)
    # nothing flipped or shifted on the way: the liver is where the phantom has it
    liver = SYNAPSE["liver"].value
    assert dice(found == liver, phantom.labels == liver) > 0.6
    assert segmentation.GetAttribute("SAMed.Model") == "tiny"
    assert segmentation.GetAttribute("SAMed.Notice") == "Demonstration model: not for patients."
