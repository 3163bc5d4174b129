"""Fixtures that several test files use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Sizes are tiny here: further threads only wait for each other, most of all when test files run side by side. Set
# before anything imports torch; child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


from counting import (  # noqa: F401
    pytest_configure,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    tally,
)
from slicer_fixtures import scene, slicer_app  # noqa: F401


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config) -> int:
    """For `pytest -n auto`: one more than processors, as tests wait for processes that they start."""
    return (os.cpu_count() or 1) + 1


# the folder of real CT and golden files that may stand beside a checkout
SHARED = Path(os.environ.get("SAMED_SHARED", Path(__file__).resolve().parents[3] / "shared"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Tests neither use nor fill the user's cache of weights and slices."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMED_HOME", str(tmp_path_factory.mktemp("samed_home")))
        yield


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set SAMED_SHARED to the folder that holds {name}/")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real CT with labels."""
    return _folder("data")


@pytest.fixture(scope="session")
def golden() -> Path:
    """Inputs and outputs of the published implementation for a small configuration."""
    return _folder("golden")


@pytest.fixture(scope="session")
def small_config():
    """A SAMed that runs in milliseconds, with padded windows (5 x 5 tokens, window 4) and a global block."""
    from SAMedLib.model import DecoderConfig, EncoderConfig, SAMedConfig

    return SAMedConfig(
        encoder=EncoderConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), window_size=4),
        decoder=DecoderConfig(embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32),
        image_size=80,
        slice_size=48,
    )
