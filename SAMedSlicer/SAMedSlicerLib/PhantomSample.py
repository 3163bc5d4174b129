"""A made-up CT for the tutorials, in Slicer's Sample Data module: made on the spot, nothing is downloaded."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from SAMedLib.data.phantom import Phantom

CATEGORY = "SAMed"
# of a patient that the embedded model has not seen; this size takes about two seconds
_SEED, _COLUMNS, _SPACING = 200_004, 224, (1.8, 1.8, 5.0)
_ICONS = Path(__file__).resolve().parents[1] / "Resources" / "Icons"


def registerPhantoms() -> None:
    """Offer the phantom in Sample Data, alone and with its reference segmentation; again after a reload."""
    import SampleData

    samples = {
        _("Abdominal CT phantom"): (False, "Phantom.png"),
        _("Abdominal CT phantom with reference segmentation"): (True, "PhantomReference.png"),
    }
    sources = SampleData.SampleDataLogic.sampleDataSourcesByCategory(CATEGORY)
    sources[:] = [source for source in sources if source.sampleName not in samples]
    for name, (withReference, thumbnail) in samples.items():
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            # there is no address, and Slicer asks for lists of one length
            uris=[],
            fileNames=[],
            nodeNames=[],
            thumbnailFileName=str(_ICONS / thumbnail),
            customDownloader=partial(_onSampleClicked, withReference),
        )


def loadPhantom(scene: Any, withReference: bool = False) -> tuple[Any, Any]:
    """Make the phantom.

    Returns:
        its vtkMRMLScalarVolumeNode, and the vtkMRMLSegmentationNode with its true organs or None.
    """
    phantom = makeSample()
    volumeNode = _volume(scene, phantom)
    return volumeNode, _reference(volumeNode, phantom) if withReference else None


def makeSample() -> Phantom:
    """The phantom, apart from any scene."""
    from SAMedLib.data.phantom import make_phantom

    return make_phantom(_SEED, phase="portal", coverage="full", in_plane=_COLUMNS, spacing=_SPACING)


def _onSampleClicked(withReference: bool, source: Any) -> list[Any]:
    with slicer.util.tryWithErrorDisplay(_("The phantom could not be made."), waitCursor=True):
        volumeNode, segmentationNode = loadPhantom(slicer.mrmlScene, withReference)
        if slicer.app.layoutManager():
            slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
        return [node for node in (volumeNode, segmentationNode) if node]
    return []


def _volume(scene: Any, phantom: Phantom) -> Any:
    from SAMedSlicerLib.AbdomenWindow import showAbdomen
    from SAMedSlicerLib.ArrayVolume import addVolume

    volume, name = phantom.volume, _("Abdominal CT phantom")
    node = addVolume(scene, volume.array, volume.geometry.ijk_to_lps(), name.replace(" ", "_"))
    node.SetDescription(_("Made up by a computer; no patient's data."))
    showAbdomen(node)
    return node


def _reference(volumeNode: Any, phantom: Phantom) -> Any:
    from SAMedLib.organs import SYNAPSE
    from SAMedSlicerLib.SegmentationWriter import SegmentationWriter
    from SAMedSlicerLib.WrittenMark import forget

    name = _("{volume} reference").format(volume=volumeNode.GetName())
    node = SegmentationWriter().write(phantom.labels, volumeNode, SYNAPSE, name=name)
    segmentation = node.GetSegmentation()
    for segmentId in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segmentId)
        forget(segment)  # no model made them: a result that is put into this node must not replace them
        segment.SetTag("DICOM.SegmentAlgorithmType", "MANUAL")
        segment.RemoveTag("DICOM.SegmentAlgorithmName")
    return node
