"""What the library says to people at a command line is said in the panel's words to people at the panel."""

from __future__ import annotations

import numpy as np
import pytest

import slicer_host
from SAMedLib.errors import SAMedError
from SAMedLib.imaging.volume import read_volume
from SAMedLib.weights.registry import REGISTRY, load_registry
from SAMedLib.weights.store import Store

if (reason := slicer_host.reasonNotToBoot()) is not None:
    pytest.skip(f"the panel is not tested: {reason}", allow_module_level=True)
slicer_host.boot()

from SAMedSlicerLib.PanelWords import inPanelWords  # noqa: E402


def said_in_the_panel(complain) -> str:
    with pytest.raises(SAMedError) as caught:
        complain()
    assert "--" in str(caught.value) or "'samed " in str(caught.value)
    text = inPanelWords(str(caught.value))
    assert "--" not in text
    assert "'samed " not in text
    return text


def test_a_device_that_is_not_there_is_answered_with_the_list_of_devices():
    from SAMedLib.inference.devices import choose_device

    assert "choose the CPU or Automatic as the device" in said_in_the_panel(lambda: choose_device("mps"))


def test_a_file_with_time_points_is_answered_with_the_input_for_sequences(tmp_path):
    import SimpleITK as sitk

    path = tmp_path / "heart.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 5), np.int16), isVector=False), str(path))
    assert "'A sequence of volumes'" in said_in_the_panel(lambda: read_volume(path))


def test_a_model_file_that_is_not_here_is_answered_with_the_download_button(tmp_path):
    store = Store(tmp_path, load_registry(REGISTRY))
    text = said_in_the_panel(lambda: store.locate("vit_b"))
    assert "press Download" in text
    assert f"put it at {tmp_path}" in text  # without internet


def test_a_model_file_that_is_another_one_is_to_be_deleted(tmp_path):
    store = Store(tmp_path, load_registry(REGISTRY))
    path = store.path_of(store.find_entry("vit_b"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"another file")
    assert "delete this file and download it again" in said_in_the_panel(lambda: store.locate("vit_b"))


def test_a_sentence_that_names_no_option_stays_as_it_is():
    assert inPanelWords(r"C:\new\1 holds no image; load it again.") == r"C:\new\1 holds no image; load it again."
