"""Fixtures for tests of the Slicer module; they need slicer-core and PySide6, and skip without."""

from __future__ import annotations

import pytest

import slicer_host


@pytest.fixture(scope="session")
def slicer_app():
    """The booted stand-in for the 3D Slicer application (Testing/slicer_host); `import qt, ctk, slicer` work."""
    reason = slicer_host.reasonNotToBoot()
    if reason is not None:
        pytest.skip(f"the panel is not tested: {reason}")
    return slicer_host.boot()


@pytest.fixture
def scene(slicer_app):
    """The MRML scene of the application, empty; fails the test if a slot or an observer raised something."""
    slicer_app.errors.take()
    yield slicer_app.scene
    slicer_host.processEvents()
    slicer_host.closeScene()
    slicer_host.unloadScriptedModules()
    slicer_host.processEvents()
    slicer_host.closeScene()  # does anybody listen who should be gone?
    raised = slicer_app.errors.take()
    if raised:
        pytest.fail("raised in slots or observers:\n" + "\n".join(raised), pytrace=False)
