"""Labelled abdominal CT phantoms; `make_phantom` is the entry."""

from SAMedLib.data.phantom.generate import Phantom, make_phantom

__all__ = ["Phantom", "make_phantom"]
