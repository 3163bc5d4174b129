"""The volume that goes to the model: is it a CT that can be segmented, and its voxels as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from SAMedLib.errors import SAMedError
from SAMedSlicerLib.NrrdFile import writeNrrd
from SAMedSlicerLib.VoxelArrays import ijkToRasOf, voxelsOf

if TYPE_CHECKING:
    import numpy as np

# a label map has few whole values; a CT has noise
_MOST_LABELS = 64
_OFFSET = 1024
_FAT = -40  # HU; all that lies in or around a patient's abdomen has some
_BEYOND = 100_000  # metal in a scan of 16 bits ends before


class VolumeProblem(SAMedError):
    """Its text is the sentence for the user."""


def checkVolume(volumeNode: slicer.vtkMRMLScalarVolumeNode | None) -> list[str]:
    """Whether this volume can be segmented.

    Returns:
        Sentences about what makes the result doubtful; the user decides.

    Raises:
        VolumeProblem: if segmenting it would surely fail.
    """
    name = _checkKind(volumeNode)
    voxels = voxelsOf(volumeNode.GetImageData())
    _checkGeometry(volumeNode, name)
    warnings, low, high = _checkRange(voxels, name)
    if _modality(volumeNode) not in ("", "CT"):
        warnings.append(
            _("'{name}' is {modality}, not CT; the models know CT only, so do not trust the result.").format(
                name=name, modality=_modality(volumeNode)
            )
        )
    elif doubt := _whyNotHounsfield(voxels, low, high, name):
        warnings.append(doubt)
    return warnings


def writeVolume(volumeNode: slicer.vtkMRMLScalarVolumeNode, path: Path) -> None:
    """Write the node's own voxels and geometry as an uncompressed .nrrd file; parent transforms are not applied.

    Also for the data nodes of a sequence, which are in a scene of their own.

    Raises:
        SAMedError: if the file cannot be written.
    """
    writeNrrd(path, volumeNode.GetImageData(), ijkToRasOf(volumeNode))


def _checkKind(volumeNode: slicer.vtkMRMLNode | None) -> str:
    """The volume's name; raises VolumeProblem unless it holds one value per voxel."""
    if volumeNode is None:
        raise VolumeProblem(_("Choose the CT volume to segment; load one first if there is none."))
    name = volumeNode.GetName() or _("(no name)")
    if volumeNode.IsA("vtkMRMLSequenceNode"):
        raise VolumeProblem(
            _("'{name}' is a sequence; choose one of its frames, shown by the Sequences module.").format(name=name)
        )
    if not volumeNode.IsA("vtkMRMLScalarVolumeNode"):
        raise VolumeProblem(_("'{name}' is not a volume; choose a CT.").format(name=name))
    if volumeNode.IsA("vtkMRMLLabelMapVolumeNode"):
        raise VolumeProblem(_("'{name}' is a label map; choose the CT that it was made from.").format(name=name))
    image = volumeNode.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise VolumeProblem(_("'{name}' holds no image; load it again.").format(name=name))
    if image.GetNumberOfPoints() == 0:
        raise VolumeProblem(_("'{name}' is empty: it has no slice; load it again.").format(name=name))
    count = image.GetNumberOfScalarComponents()
    if count != 1:
        raise VolumeProblem(
            _(
                "'{name}' holds {count} values per voxel (colours, vectors or time points) where a CT holds one; "
                "choose a CT, or a single time point."
            ).format(name=name, count=count)
        )
    return name


def _checkGeometry(volumeNode: slicer.vtkMRMLScalarVolumeNode, name: str) -> None:
    import math

    matrix = ijkToRasOf(volumeNode)
    numbers = [matrix.GetElement(row, column) for row in range(4) for column in range(4)]
    volume = matrix.Determinant()
    if not all(map(math.isfinite, numbers)) or not math.isfinite(volume) or abs(volume) < 1e-9:
        raise VolumeProblem(
            _(
                "'{name}' has no valid spacing and directions; correct them in the Volumes module under "
                "Volume Information."
            ).format(name=name)
        )


def _checkRange(voxels: np.ndarray, name: str) -> tuple[list[str], float, float]:
    """Warnings, and the lowest and highest value; raises VolumeProblem if there is nothing to segment."""
    import numpy as np

    warnings = []
    low, high = float(voxels.min()), float(voxels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = voxels[np.isfinite(voxels)]
        if finite.size == 0:
            raise VolumeProblem(
                _("'{name}' holds no number, every voxel is NaN; load or compute it again.").format(name=name)
            )
        low, high = float(finite.min()), float(finite.max())
        warnings.append(
            _("'{name}' has {count} voxels without a number (NaN or infinite); they count as air.").format(
                name=name, count=voxels.size - finite.size
            )
        )
    elif low == high:
        raise VolumeProblem(
            _("'{name}' has the same value {low:g} everywhere; there is nothing to segment.").format(name=name, low=low)
        )
    if low >= 0 and high <= 255 and not warnings and _isLabelMap(voxels):
        raise VolumeProblem(
            _(
                "'{name}' looks like a label map: it has a few whole values from {low:g} to {high:g}; choose the CT."
            ).format(name=name, low=low, high=high)
        )
    return warnings, low, high


def _isLabelMap(voxels: np.ndarray) -> bool:
    import numpy as np

    whole = voxels.astype(np.uint8)
    return np.array_equal(whole, voxels) and np.unique(whole).size <= _MOST_LABELS


def _whyNotHounsfield(voxels: np.ndarray, low: float, high: float, name: str) -> str:
    """What the range of the values gives away; empty if it may be a CT's."""
    if low >= -2 and high <= 2:
        return _(
            "'{name}' has values from {low:.3g} to {high:.3g} only, so it is normalised and not in Hounsfield units; "
            "use the original CT."
        ).format(name=name, low=low, high=high)
    if low >= 0:
        return _withoutNegativeValues(voxels, high, name)
    if low > _FAT:
        return _(
            "'{name}' has no value below {low:.3g}, where a CT has fat and air, so it is not in Hounsfield units; if "
            "it is an MR or PET image, do not trust the result: the models know CT only."
        ).format(name=name, low=low)
    if low < -_BEYOND or high > _BEYOND:
        return _(
            "'{name}' has values from {low:.3g} to {high:.3g}, far beyond the Hounsfield units of a CT; use the "
            "original CT."
        ).format(name=name, low=low, high=high)
    return ""


def _withoutNegativeValues(voxels: np.ndarray, high: float, name: str) -> str:
    if high <= 255:
        return _(
            "'{name}' has values from 0 to 255 like a picture, not Hounsfield units; use the original CT, because the "
            "result will be wrong."
        ).format(name=name)
    if _isShifted(voxels):
        return _(
            "'{name}' looks like a CT whose values are {offset} too high: it has no negative value; load it from DICOM "
            "again, or subtract {offset} (Simple Filters module, ShiftScaleImageFilter)."
        ).format(name=name, offset=_OFFSET)
    return _(
        "'{name}' has no negative value, so it is not in Hounsfield units; if it is an MR image, do not trust the "
        "result: the models know CT only."
    ).format(name=name)


def _isShifted(voxels: np.ndarray) -> bool:
    """Air near 0, and much of the rest where fat and soft tissue of a CT lie once 1024 is added."""
    import numpy as np

    sample = voxels.reshape(-1)[:: max(1, voxels.size // 1_000_000)]
    body = sample[sample > _OFFSET - 824]
    tissue = np.count_nonzero((body > _OFFSET - 150) & (body < _OFFSET + 200))
    return bool(body.size < sample.size and tissue > 0.5 * body.size)


def _modality(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> str:
    """As DICOM says it, "" if the volume does not come from there."""
    scene = volumeNode.GetScene()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene) if scene else None
    item = hierarchy.GetItemByDataNode(volumeNode) if hierarchy else 0
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    return hierarchy.GetItemAttribute(item, attribute) if item else ""
