"""What a segment is, in the codes that 3D Slicer keeps in a tag of the segment and DICOM SEG carries on."""

from __future__ import annotations

from dataclasses import dataclass

from SAMedLib.organs import Label

_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGION_CONTEXT = "Anatomic codes - DICOM master list"
_STRUCTURE = ("SCT", "123037004", "Anatomical Structure")
_TISSUE = ("SCT", "85756007", "Tissue")  # what Slicer gives to a segment that nobody has coded
_NOTHING = ("", "", "")


@dataclass(frozen=True)
class Terminology:
    """The type of a segment and its modifier; empty strings for what is not stated."""

    scheme: str = ""
    code: str = ""
    modifier: str = ""

    @property
    def isSpecific(self) -> bool:
        """Whether it says more than that there is tissue."""
        return bool(self.code) and (self.scheme, self.code) != _TISSUE[:2]

    @classmethod
    def parse(cls, entry: str) -> Terminology:
        """From the text in the tag; an empty one if there is none, or it is not understood."""
        parts = [part.split("^") for part in entry.split("~")]
        if len(parts) < 4 or any(len(part) != 3 for part in parts[1:4]):
            return cls()
        (scheme, code, _meaning), modifier = parts[2], parts[3]
        return cls(scheme, code, modifier[1])


def terminologyEntry(label: Label) -> str:
    """The text for the tag; organs without a code are tissue, so that they can be exported as well."""
    category, kind, modifier = _TISSUE, _TISSUE, _NOTHING
    if label.code:
        category, kind = _STRUCTURE, ("SCT", label.code.value, label.code.meaning)
        if label.modifier:
            modifier = ("SCT", label.modifier.value, label.modifier.meaning)
    triplets = ["^".join(triplet) for triplet in (category, kind, modifier)]
    return "~".join([_CONTEXT, *triplets, _REGION_CONTEXT, "^^", "^^"])
