"""Using a model: from CT to labels, and what is done with them."""

from SAMedLib.imaging.organ_volumes import OrganVolume, organ_volumes
from SAMedLib.inference.devices import choose_device
from SAMedLib.inference.postprocess import keep_largest, select_organs
from SAMedLib.inference.segmenter import Segmenter

__all__ = ["OrganVolume", "Segmenter", "choose_device", "keep_largest", "organ_volumes", "select_organs"]
