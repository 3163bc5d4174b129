"""Fixtures of the tests of `samed web`: a small CT, and a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from SAMedLib.data.phantom import make_phantom
from web_browser import browsing, written


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(200_004, in_plane=112, num_slices=12, coverage="full", phase="portal")


@pytest.fixture(scope="module")
def ct(phantom, tmp_path_factory) -> Path:
    """A small CT as a file."""
    return written(phantom.volume, phantom.volume.array, tmp_path_factory.mktemp("ct") / "patient one.nii.gz")


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser
