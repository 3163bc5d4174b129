"""The views of the stand-in for the Slicer application show what is in the scene."""

from __future__ import annotations

import numpy as np
import pytest

import slicer_host

ORGAN = (221, 130, 101)


@pytest.fixture
def views(scene):
    reason = slicer_host.reasonNotToRender()
    if reason is not None:
        pytest.skip(reason)
    with slicer_host.openViews((200, 200)) as views:
        yield views


@pytest.fixture
def ball(scene):
    """A volume with a bright ball."""
    import slicer

    k, j, i = np.mgrid[:24, :32, :32]
    inside = (i - 16) ** 2 + (j - 16) ** 2 + (2 * (k - 12)) ** 2 < 11**2
    toRas = np.diag([-3.0, -3.0, 6.0, 1.0])
    toRas[:3, 3] = (48, 48, -72)
    volume = slicer.util.addVolumeFromArray(np.where(inside, 100, -1000).astype(np.int16), toRas, "ball")
    volume.CreateDefaultDisplayNodes()
    return volume


def addOrgan(volume):
    """The ball but for a cap at the patient's left, as a segment with a surface."""
    import slicer

    array = slicer.util.arrayFromVolume(volume)
    most = ((array > 0) & (np.arange(array.shape[2]) < 20)).astype(np.uint8)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    organ = node.GetSegmentation().AddEmptySegment("liver", "liver", [part / 255 for part in ORGAN])
    slicer.util.updateSegmentBinaryLabelmapFromArray(most, node, organ, volume)
    node.CreateClosedSurfaceRepresentation()
    return node


def pixels(path) -> np.ndarray:
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    reader = vtk.vtkPNGReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    columns, rows, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)[..., :3].astype(int)


def isTinted(picture: np.ndarray) -> np.ndarray:
    """Where red stands out, as in the organ's colour and nowhere in a CT or in the background."""
    return picture[..., 0] > picture[..., 2] + 15


def test_a_segment_appears_in_all_views_where_it_lies(views, ball, tmp_path):
    views.show(ball)
    without = {name: pixels(path) for name, path in views.save(tmp_path).items()}
    addOrgan(ball)
    with_ = {name: pixels(path) for name, path in views.save(tmp_path).items()}
    assert list(with_) == ["Red", "Green", "Yellow", "3D"]
    for name, picture in with_.items():
        assert not isTinted(without[name]).any()
        assert isTinted(picture).sum() > 500, name
    # an axial view shows the patient's left on the right, where the ball has no organ
    ball_, organ = (np.nonzero(mask)[1].max() for mask in (without["Red"][..., 0] > 100, isTinted(with_["Red"])))
    assert organ < ball_ - 20


def test_a_slice_is_drawn_through_the_point_asked_for(views, ball, tmp_path):
    views.show(ball)
    middle = pixels(views.save(tmp_path)["Red"])
    views.show(ball, centre=(0, 0, 27))
    higher = pixels(views.save(tmp_path)["Red"])
    assert 0 < (higher > 100).sum() < (middle > 100).sum()


def test_the_views_leave_nothing_in_the_scene(scene, ball, tmp_path):
    reason = slicer_host.reasonNotToRender()
    if reason is not None:
        pytest.skip(reason)
    before = scene.GetNumberOfNodes()
    with slicer_host.openViews((64, 64)) as views:
        views.show(ball)
        views.save(tmp_path)
    assert scene.GetNumberOfNodes() == before
