"""The phantom in Slicer's Sample Data module: made on the spot, where it belongs, with its true organs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from SAMedLib.organs import SYNAPSE

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_phantom_is_a_ct_on_the_grid_it_was_made_on(scene):
    from mrml_scene import export_to_volume, ijk_to_ras, voxels_of
    from SAMedLib.data.phantom import make_phantom
    from SAMedSlicerLib.PhantomSample import loadPhantom

    volume, segmentation = loadPhantom(scene, withReference=True)
    phantom = make_phantom(200_004, phase="portal", coverage="full", in_plane=224, spacing=(1.8, 1.8, 5.0))
    np.testing.assert_array_equal(voxels_of(volume), phantom.volume.array)
    to_ras = np.diag([-1, -1, 1, 1]) @ phantom.volume.geometry.ijk_to_lps()
    np.testing.assert_allclose(ijk_to_ras(volume), to_ras)
    organs = export_to_volume(segmentation, volume)
    assert set(organs) == set(SYNAPSE.names)
    for label in SYNAPSE:
        np.testing.assert_array_equal(organs[label.name], phantom.labels == label.value)
    assert volume.GetDisplayNode().GetLevel() == 40


def test_the_phantom_is_fit_to_be_segmented_and_its_organs_are_nobodys_to_replace(scene):
    from SAMedSlicerLib.InputVolume import checkVolume
    from SAMedSlicerLib.PhantomSample import loadPhantom
    from SAMedSlicerLib.SegmentationReader import SegmentationReader

    volume, segmentation = loadPhantom(scene, withReference=True)
    assert checkVolume(volume) == []
    segments = SegmentationReader().segmentsOf(segmentation)
    assert not any(segment.byModel for segment in segments)


@pytest.fixture
def sample_data(scene):
    """Slicer's own Sample Data module."""
    source = Path(os.environ.get("SLICER_SOURCE", "SLICER_SOURCE-is-not-set"))
    folder = source / "Modules" / "Scripted" / "SampleData"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set SLICER_SOURCE to a checkout of Slicer")
    import slicer

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        import SampleData

        patch.setattr(slicer.modules, "sampleDataSources", {}, raising=False)
        yield SampleData


def test_slicers_sample_data_module_lists_the_phantoms_once_also_after_a_reload(sample_data):
    from SAMedSlicerLib.PhantomSample import CATEGORY, registerPhantoms

    registerPhantoms()
    registerPhantoms()
    sources = sample_data.SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)
    names = [source.sampleName for source in sources]
    assert names == ["Abdominal CT phantom", "Abdominal CT phantom with reference segmentation"]
    for source in sources:
        assert Path(source.thumbnailFileName).is_file()
        assert Path(source.thumbnailFileName).stat().st_size < 50_000


def test_a_click_on_a_sample_loads_it(sample_data, scene):
    from SAMedSlicerLib.PhantomSample import CATEGORY, registerPhantoms

    registerPhantoms()
    _plain, complete = sample_data.SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)
    nodes = complete.customDownloader(complete)
    assert [node.GetClassName() for node in nodes] == ["vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"]
    assert all(scene.IsNodePresent(node) for node in nodes)


def test_the_phantom_needs_only_what_slicer_brings():
    """numpy, scipy and SimpleITK are Slicer's own; nothing else is imported."""
    code = (
        "import sys, SAMedLib.data.phantom\n"
        "wanted = {'torch', 'h5py', 'slicerio', 'matplotlib', 'platformdirs', 'safetensors', 'medpy', 'filelock'}\n"
        "print(sorted(wanted & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
