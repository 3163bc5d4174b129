"""Files put by hand, imports, models of one's own, and the registry."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.weights import acquire, records
from SAMedLib.weights.importing import import_file
from SAMedLib.weights.registry import REGISTRY, load_registry
from SAMedLib.weights.store import Store
from weights_server import QUICK, SIZE, make_adapter, make_adapter_store, make_store, running, without_proxies


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    without_proxies(monkeypatch)


@pytest.fixture
def server():
    with running() as server:
        server.payload = random.Random(0).randbytes(SIZE)
        yield server


@pytest.fixture
def store(tmp_path, server) -> Store:
    return make_store(tmp_path, server)


@pytest.fixture
def adapters(tmp_path, server) -> Store:
    """A store whose "base" file is an adapter without a published digest."""
    return make_adapter_store(tmp_path, server)


def _download(store: Store, report: Reporter = SILENT) -> Path:
    return acquire.download(store, "base", report, QUICK)


def _by_hand(store: Store, content: bytes) -> Path:
    store.folder.mkdir(parents=True, exist_ok=True)
    path = store.folder / "base.pth"
    path.write_bytes(content)
    return path


def test_an_absent_file_says_how_to_get_it(store, server):
    with pytest.raises(SAMedError, match="samed weights download base") as caught:
        store.locate("base")
    assert server.url in str(caught.value)
    assert str(store.folder / "base.pth") in str(caught.value)


def test_a_file_put_by_hand_is_recognised_by_its_name_and_checked_once(store, server):
    path = _by_hand(store, server.payload)
    assert store.cached_files()[0].state == "unchecked"
    assert store.locate("base") == store.locate("base.pth") == path
    assert store.cached_files()[0].state == "ready"
    # same size and time: believed without reading, or gigabytes would be read at every use
    status = path.stat()
    path.write_bytes(bytes(SIZE))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert store.locate("base") == path
    os.utime(path)
    with pytest.raises(SAMedError, match="not the published"):
        store.locate("base")


@pytest.mark.parametrize("content", [bytes(SIZE), b"", b"short"])
def test_another_file_under_the_name_is_refused(store, content):
    _by_hand(store, content)
    with pytest.raises(SAMedError, match="samed weights remove base"):
        store.locate("base")
    with pytest.raises(SAMedError, match="samed weights remove base"):
        _download(store)


@pytest.mark.parametrize("note", ["", "{}", "[1]", '{"size": "x", "mtime_ns": 0, "sha256": 1, "checked": 2}'])
def test_an_unreadable_note_only_costs_another_check(store, server, note):
    path = _by_hand(store, server.payload)
    records.record_path(path).write_text(note)
    assert store.locate("base") == path


def test_a_folder_that_cannot_be_written_works(store, server):
    path = _by_hand(store, server.payload)
    records.record_path(path).mkdir()  # stands for a note that cannot be written, for root too
    assert store.locate("base") == path


def test_unknown_names_list_what_exists(store):
    with pytest.raises(SAMedError, match="choose one of base"):
        store.locate("nonsense")
    with pytest.raises(SAMedError, match="no model called"):
        store.model_entry("../../etc/passwd")


def test_an_adapter_without_a_digest_is_checked_by_structure_and_its_digest_recorded(adapters, server):
    path = _download(adapters)
    record = records.read_record(path)
    assert record.sha256 == hashlib.sha256(server.payload).hexdigest()


def test_an_adapter_of_another_structure_is_thrown_away(adapters, server, tmp_path):
    server.payload = make_adapter(tmp_path / "elsewhere.pth", tokens=(8, 9)).read_bytes()
    with pytest.raises(SAMedError, match=r"num_classes is 8 instead of 9.*deleted"):
        _download(adapters)
    assert adapters.cached_files()[0].state == "absent"


def test_an_adapter_that_changes_after_its_first_use_is_refused(adapters, tmp_path):
    path = _download(adapters)
    path.write_bytes(make_adapter(tmp_path / "published.pth", value=1.0).read_bytes())
    with pytest.raises(SAMedError, match="first used here") as caught:
        adapters.locate("base")
    assert "samed weights remove base" in str(caught.value)
    adapters.remove("base")
    import_file(adapters, tmp_path / "published.pth", "base")
    assert adapters.locate("base") == path


def test_a_published_adapter_is_recognised_by_its_structure_whatever_its_name(adapters, tmp_path):
    source = tmp_path / "published.pth"
    renamed = source.rename(tmp_path / "epoch_159.pth")
    assert import_file(adapters, renamed) == adapters.folder / "base.pth"
    assert renamed.is_file()


def test_a_base_is_recognised_by_its_digest_whatever_its_name(store, server, tmp_path):
    (tmp_path / "download(1)").write_bytes(server.payload)
    path = import_file(store, tmp_path / "download(1)")
    assert path == store.folder / "base.pth"
    assert store.cached_files()[0].state == "ready"
    assert import_file(store, tmp_path / "download(1)") == path


def test_an_import_that_is_not_what_it_is_called_leaves_nothing(store, tmp_path):
    (tmp_path / "file").write_bytes(bytes(SIZE))
    with pytest.raises(SAMedError, match="not the published base.pth"):
        import_file(store, tmp_path / "file", "base")
    assert not [p for p in store.folder.rglob("*") if p.is_file()]


def test_a_good_import_replaces_a_bad_file(store, server, tmp_path):
    _by_hand(store, bytes(SIZE))
    (tmp_path / "file").write_bytes(server.payload)
    assert import_file(store, tmp_path / "file").read_bytes() == server.payload


def test_an_own_adapter_becomes_a_model(store, tmp_path):
    source = make_adapter(tmp_path / "my model.pth", rank=2)
    with pytest.raises(SAMedError, match="--name"):
        import_file(store, source)
    path = import_file(store, source, "mine")
    assert path == store.folder / "models" / "mine.pth"
    assert "mine" in store.model_names()
    entry = store.model_entry("mine")
    assert store.locate(entry.adapter) == path
    other = make_adapter(tmp_path / "other.pth", rank=3)
    with pytest.raises(SAMedError, match="already and differs"):
        import_file(store, other, "mine")
    assert store.remove("mine")[0] == path
    assert "mine" not in store.model_names()


def test_our_own_format_names_its_base(tmp_path, server):
    sha256 = hashlib.sha256(server.payload).hexdigest()
    store = make_store(tmp_path, server)
    config = {"encoder": {"embed_dim": 16, "depth": 2}}
    metadata = {"format": 1, "config": config, "base": {"name": "x", "sha256": sha256}}
    save_file({"w_a_000": torch.zeros(4, 16)}, tmp_path / "mine.safetensors", {"samed": json.dumps(metadata)})
    import_file(store, tmp_path / "mine.safetensors")
    assert store.model_entry("mine").base == "base"
    acquire.download(store, "mine", SILENT, QUICK)
    assert store.locate("base").is_file()


def test_an_own_model_cannot_take_a_name_of_the_registry_or_leave_the_folder(store, tmp_path):
    source = make_adapter(tmp_path / "a.pth", rank=2)
    for name in ("base.pth", "../evil", "/tmp/evil", ".hidden", ""):
        with pytest.raises(SAMedError):
            import_file(store, source, name)
    assert not (tmp_path / "evil.pth").exists()


def test_cancelling_an_import_leaves_nothing(store, server, tmp_path):
    (tmp_path / "file").write_bytes(server.payload)
    (tmp_path / "stop").write_text("")
    with pytest.raises(Cancelled):
        import_file(store, tmp_path / "file", report=Reporter(stop_file=tmp_path / "stop", silent=True))
    assert not [p for p in store.folder.rglob("*") if p.is_file()]


def test_removing_takes_the_notes_and_the_partial_download_along(store, server):
    _download(store)
    (store.folder / "base.pth.part").write_text("left")
    store.remove("base")
    assert [p.name for p in store.folder.iterdir()] == [".base.pth.lock"]
    with pytest.raises(SAMedError, match="nothing to remove"):
        store.remove("base")


def test_the_packaged_registry_is_sound_and_knows_the_published_models():
    registry = load_registry(REGISTRY)
    assert {"tiny", "samed-vit-b-synapse", "samed-s-vit-b-synapse"} <= set(registry.models)
    assert registry.files["vit_b"].bytes == 375_042_383
    assert registry.models["samed-vit-b-synapse"].base == "vit_b"
    assert registry.models["tiny"].base is None
    assert registry.models["tiny"].demonstration
    assert all(f.url.startswith("https://") for f in registry.files.values() if f.url)


def _broken(**changes):
    entry = {"filename": "a.pth", "kind": "base", "description": "", "license": "MIT", "url": "https://a.org/b"}
    entry |= {"bytes": 3, "sha256": "0" * 64, **changes}
    return {"version": 1, "files": {"a": {k: v for k, v in entry.items() if v is not ...}}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "version"),
        ({"version": 2}, "version"),
        ({"version": 1, "extra": {}}, "extra"),
        ({"version": 1, "files": []}, "files"),
        (_broken(filename="../a.pth"), "plain file name"),
        (_broken(filename=...), "lacks 'filename'"),
        (_broken(url="http://a.org/b"), "not https"),
        (_broken(bytes="3"), "no int"),
        (_broken(bytes=True), "no int"),
        (_broken(sha256="xyz"), "hexadecimal"),
        (_broken(sha256=...), "to check the download"),
        (_broken(kind="virus"), "choose from"),
        (_broken(surprise=1), "surprise"),
        ({"version": 1, "models": {"m": {"adapter": "none", "description": ""}}}, "names no adapter"),
        ({"version": 1, "files": {"../x": {}}}, "no usable name"),
    ],
)
def test_a_broken_registry_is_named_with_what_is_wrong(tmp_path, data, words):
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SAMedError, match=words) as caught:
        load_registry(path)
    assert str(path) in str(caught.value)


def test_a_site_registry_adds_to_the_packaged_one(tmp_path, monkeypatch):
    path = tmp_path / "registry.json"
    mirror = json.loads(REGISTRY.read_text())["files"]["vit_b"] | {"url": "https://mirror.hospital.example/sam.pth"}
    path.write_text(json.dumps({"version": 1, "files": {"vit_b": mirror}}))
    monkeypatch.setenv("SAMED_REGISTRY", str(path))
    registry = load_registry()
    assert registry.files["vit_b"].url.startswith("https://mirror")
    assert "vit_h" in registry.files
