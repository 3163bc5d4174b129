"""Using a model: from CT to labels, and what is done with them."""

from SAMedLib.inference.devices import choose_device
from SAMedLib.inference.postprocess import OrganVolume, keep_largest, organ_volumes, select_organs
from SAMedLib.inference.segmenter import Segmenter

__all__ = ["OrganVolume", "Segmenter", "choose_device", "keep_largest", "organ_volumes", "select_organs"]
