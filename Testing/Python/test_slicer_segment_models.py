"""Models and devices in the Segment tab: a download with a real child and a real server, and the measured time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import SAMedLib.weights
from panel_segment import addPhantom, openPanel
from weights_server import running, without_proxies

TINY = Path(SAMedLib.weights.__file__).parent / "tiny.safetensors"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a copy of the embedded model, which the registry of this computer calls "clinic"."""
    without_proxies(monkeypatch)
    monkeypatch.setenv("SAMED_HOME", str(tmp_path / "home"))
    with running() as server:
        server.payload = TINY.read_bytes()
        file = {
            "filename": "clinic.safetensors",
            "kind": "adapter",
            "description": "the clinic's model",
            "license": "MIT",
            "url": server.url,
            "bytes": len(server.payload),
            "sha256": hashlib.sha256(server.payload).hexdigest(),
        }
        model = {"adapter": "clinic_file", "description": "the clinic's model", "label_set": "synapse"}
        registry = {"version": 1, "files": {"clinic_file": file}, "models": {"clinic": model}}
        (tmp_path / "registry.json").write_text(json.dumps(registry))
        monkeypatch.setenv("SAMED_REGISTRY", str(tmp_path / "registry.json"))
        yield server


@pytest.fixture
def panel(scene, tmp_path):
    with openPanel(tmp_path) as panel:
        yield panel


def choose(panel, word: str) -> None:
    titles = [panel.ui.modelSelector.itemText(index) for index in range(panel.ui.modelSelector.count)]
    panel.ui.modelSelector.currentIndex = next(i for i, title in enumerate(titles) if word in title)


def download(panel) -> None:
    panel.ui.downloadButton.click()
    assert panel.ui.downloadButton.text == "Cancel"
    assert panel.ui.segmentButton.toolTip == "Wait for the download of the model, or cancel it."
    panel.wait(lambda: panel.ui.downloadButton.text == "Download")


def test_a_downloaded_model_is_ready_at_once(server, panel):
    panel.use(addPhantom())
    choose(panel, "clinic")
    assert not panel.ui.segmentButton.enabled
    download(panel)
    assert panel.ui.downloadStatusLabel.text == "The model is here and was checked."
    assert panel.ui.modelSelector.currentText.startswith("clinic")
    assert panel.parameters.model == "clinic"
    assert panel.ui.downloadButton.isHidden()
    assert panel.ui.segmentButton.enabled
    assert panel.host.left == []


def test_a_download_that_is_not_what_it_should_be_is_refused_in_a_sentence(server, panel):
    panel.use(addPhantom())
    choose(panel, "clinic")
    server.payload = server.payload[:-1] + b"x"
    download(panel)
    assert panel.ui.downloadStatusLabel.text.startswith("What was downloaded as clinic.safetensors")
    assert not panel.ui.downloadStatusLabel.isHidden()
    assert not panel.ui.segmentButton.enabled
    assert not panel.ui.downloadButton.isHidden()
    assert panel.host.left == []


def test_a_check_finds_the_devices_and_the_expected_time_which_is_remembered(panel):
    panel.use(addPhantom(slices=40))
    assert "Check tells which" in panel.ui.deviceStatusLabel.text
    panel.ui.checkDevicesButton.click()
    panel.wait(lambda: panel.ui.checkDevicesButton.text == "Check")
    assert "for 40 slices" in panel.status
    names = [panel.ui.deviceSelector.itemText(index) for index in range(panel.ui.deviceSelector.count)]
    assert names[0] == "Automatic"
    assert any(name.startswith("CPU") for name in names)
    panel.ui.deviceSelector.currentIndex = next(i for i, name in enumerate(names) if name.startswith("CPU"))
    assert panel.parameters.device == "cpu"
    assert list(json.loads(panel.host.settings["devices"])) == ["tiny"]
    assert panel.host.left == []
