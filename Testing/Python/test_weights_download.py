"""Downloads that fail in every way, from a server that misbehaves on request."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.weights import acquire
from SAMedLib.weights.registry import is_allowed_url
from SAMedLib.weights.store import Store
from weights_server import (
    QUICK,
    SIZE,
    Server,
    failing,
    make_store,
    redirecting,
    running,
    serve,
    slow,
    stalling,
    truncated,
    without_proxies,
    without_ranges,
)


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


def _download(store: Store, report: Reporter = SILENT) -> Path:
    return acquire.download(store, "base", report, QUICK)


def _fails(store: Store, *words: str) -> str:
    """The download ends in one sentence with these words, and no file has the final name."""
    with pytest.raises(SAMedError) as caught:
        _download(store)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert message.endswith(".")
    assert "\n" not in message
    assert not (store.folder / "base.pth").exists()
    return message


def test_a_download_arrives_whole_and_leaves_no_traces_of_itself(store, server):
    path = _download(store)
    assert path == store.folder / "base.pth"
    assert path.read_bytes() == server.payload
    assert sorted(p.name for p in store.folder.iterdir() if not p.name.endswith(".lock")) == [
        "base.pth",
        "base.pth.verified.json",
    ]


def test_a_second_download_asks_nobody(store, server):
    _download(store)
    asked = len(server.requests)
    _download(store)
    assert len(server.requests) == asked


def test_progress_counts_the_bytes_of_the_file(store, capfd):
    class Listener(Reporter):
        seen: list[tuple] = []  # noqa: RUF012

        def progress(self, stage, done, total, message=""):
            self.seen.append((stage, done, total))

    _download(store, Listener(silent=True))
    done = [done for stage, done, total in Listener.seen if stage == "downloading base" and total == SIZE]
    assert done[0] == 0
    assert done == sorted(done)
    assert done[-1] == SIZE


def test_a_broken_line_is_resumed_and_only_the_rest_is_transferred(store, server):
    server.answers = [truncated(327_680), truncated(163_840)]
    assert _download(store).read_bytes() == server.payload
    assert server.ranges() == [None, "bytes=327680-", "bytes=491520-"]


def test_a_download_goes_on_in_the_next_session(store, server):
    server.usual = truncated(98_304)
    server.answers = [truncated(393_216), failing(500), failing(500), failing(500)]
    _fails(store, "500", "attempts", "samed weights import")
    server.requests.clear()
    server.answers, server.usual = [], serve
    assert _download(store).read_bytes() == server.payload
    assert server.ranges() == ["bytes=393216-"]


def test_each_gain_renews_the_patience(store, server):
    server.answers = [truncated(98_304)] * 7
    assert _download(store).read_bytes() == server.payload


def test_server_errors_are_tried_again_and_then_end(store, server):
    server.answers = [failing(503, Retry_After="1"), failing(500)]
    assert _download(store).is_file()
    assert len(server.requests) == 3


def test_a_server_that_stays_broken_is_asked_three_times(store, server):
    server.usual = failing(500)
    _fails(store, "base.pth could not be downloaded", "127.0.0.1 answers 500", "3 attempts", server.url)
    assert len(server.requests) == 3


def test_a_file_that_is_gone_is_asked_for_once(store, server):
    server.usual = failing(404)
    _fails(store, "404", "browser")
    assert len(server.requests) == 1


def test_a_stalled_server_is_left_and_the_rest_fetched(store, server):
    server.answers = [stalling(393_216, 1.0)]
    begin = time.monotonic()
    assert _download(store).read_bytes() == server.payload
    assert time.monotonic() - begin < 5
    assert server.ranges()[1] is not None


def test_a_server_that_always_stalls_is_named(store, server):
    server.usual = stalling(0, 0.8)
    _fails(store, "silent for 0.4 s")


def test_a_server_without_ranges_starts_again(store, server):
    server.answers = [truncated(327_680), without_ranges]
    assert _download(store).read_bytes() == server.payload
    assert server.ranges() == [None, "bytes=327680-"]


def test_a_server_without_ranges_that_always_breaks_off_does_not_run_for_ever(store, server):
    server.usual = lambda handler: without_ranges(handler, 327_680)
    _fails(store, "attempts")
    assert len(server.requests) < 10


def test_a_file_that_changed_on_the_server_is_fetched_anew(tmp_path, server):
    def change(handler):
        old = server.payload
        server.payload, server.etag = new, '"v2"'
        handler.send(200, old, 327_680, ETag='"v1"')

    new = random.Random(1).randbytes(SIZE)
    store = make_store(tmp_path, server, sha256=hashlib.sha256(new).hexdigest())
    server.answers = [change]
    assert _download(store).read_bytes() == new


def test_a_server_that_ignores_if_range_does_not_mix_two_files(tmp_path, server):
    def careless(handler):
        server.payload, server.etag = new, '"v2"'
        begin = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        handler.send(206, new[begin:], ETag='"v2"', Content_Range=f"bytes {begin}-{SIZE - 1}/{SIZE}")

    new = random.Random(1).randbytes(SIZE)
    store = make_store(tmp_path, server, sha256=hashlib.sha256(new).hexdigest())
    server.answers = [truncated(327_680), careless]
    assert _download(store).read_bytes() == new


def test_a_stale_part_file_is_not_the_end(store, server):
    store.folder.mkdir()
    (store.folder / "base.pth.part").write_bytes(b"x" * 327_680)
    state = {"url": server.url, "validator": server.etag, "total": SIZE}
    (store.folder / "base.pth.part.json").write_text(json.dumps(state))
    assert _download(store).read_bytes() == server.payload
    assert server.ranges() == ["bytes=327680-", None]


@pytest.mark.parametrize("state", ["", "[]", '{"url": 3}', "{"])
def test_a_part_file_with_an_unreadable_note_is_fetched_anew(store, server, state):
    store.folder.mkdir()
    (store.folder / "base.pth.part").write_bytes(b"x" * 327_680)
    (store.folder / "base.pth.part.json").write_text(state)
    assert _download(store).read_bytes() == server.payload
    assert server.ranges() == [None]


def test_a_redirect_is_followed(store, server):
    server.answers = [redirecting("/elsewhere.pth")]
    assert _download(store).read_bytes() == server.payload
    assert server.requests[-1][0] == "/elsewhere.pth"


@pytest.mark.parametrize(
    "location",
    [
        "ftp://127.0.0.1/file",
        "http://example.invalid/file",
        "file:///etc/passwd",
        "//evil.invalid/x",
        "http://[",
        "https://[",
    ],
)
def test_a_redirect_to_anything_but_https_is_refused(store, server, location):
    server.usual = redirecting(location)
    _fails(store, "not https")
    assert len(server.requests) == 1


def test_redirects_in_a_circle_end(store, server):
    server.usual = redirecting("/again")
    _fails(store, "redirected")


def test_a_larger_file_than_known_is_not_even_begun(store, server):
    server.payload += b"more"
    _fails(store, "offers 1000004 bytes", "1000000")


def test_an_endless_answer_is_cut_off(store, server):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(b"x" * 65536)

    server.usual = endless
    _fails(store, "more bytes")
    assert (store.folder / "base.pth.part").stat().st_size == 0


def test_a_wrong_digest_is_never_given_the_name(store, server):
    server.payload = bytes(SIZE)
    _fails(store, "SHA-256", "deleted", "samed weights import")
    assert not (store.folder / "base.pth.part").exists()


def test_a_web_page_instead_of_a_file_tells_how_to_do_it_by_hand(tmp_path, server):
    page = "https://drive.google.com/file/d/X/view"
    store = make_store(tmp_path, server, page=page)
    server.usual = lambda handler: handler.send(200, b"<html>Quota exceeded", Content_Type="text/html; charset=utf-8")
    _fails(store, "web page", page, "samed weights import FILE --name base")
    assert len(server.requests) == 1


def test_a_web_page_without_a_content_type_is_recognised_too(tmp_path, server):
    store = make_store(tmp_path, server, sha256=None, structure={"layout": "SAMed"})
    server.usual = lambda handler: handler.send(200, b"\n<!DOCTYPE html>".ljust(SIZE))
    _fails(store, "shows a web page")


def test_a_sign_in_page_does_not_spoil_a_part_file(store, server):
    server.answers = [truncated(327_680), lambda h: h.send(200, b"<html>", Content_Type="text/html")]
    _fails(store, "web page")
    server.requests.clear()
    assert _download(store).read_bytes() == server.payload
    assert server.ranges() == ["bytes=327680-"]


def test_no_connection_says_what_to_do(tmp_path, server):
    store = make_store(tmp_path, server, url="http://127.0.0.1:9/weights.pth")
    message = _fails(store, "cannot be reached", "HTTPS_PROXY", "samed weights import")
    assert str(store.folder / "base.pth") in message


def test_a_proxy_from_the_environment_is_used(store, server, monkeypatch):
    proxy = Server()
    proxy.payload = server.payload
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    try:
        assert _download(store).read_bytes() == server.payload
    finally:
        proxy.shutdown()
        proxy.server_close()
    assert server.requests == []
    assert proxy.requests[0][0] == server.url


@pytest.fixture
def https_server(tmp_path, server) -> Server:
    """The server behind a certificate that this computer does not know (yet)."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate for this test, and is not installed")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def test_an_unknown_certificate_is_refused_with_the_remedy(tmp_path, https_server):
    url = https_server.url.replace("http:", "https:")
    _fails(make_store(tmp_path, https_server, url=url), "certificate of 127.0.0.1", "REQUESTS_CA_BUNDLE")
    assert https_server.requests == []


def test_a_hospitals_own_certificate_can_be_named(tmp_path, https_server, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    store = make_store(tmp_path, https_server, url=https_server.url.replace("http:", "https:"))
    assert _download(store).read_bytes() == https_server.payload


def test_https_is_not_left_for_http_even_on_this_computer(tmp_path, https_server, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    with running() as plain:
        plain.payload = https_server.payload
        https_server.usual = redirecting(plain.url)
        _fails(make_store(tmp_path, https_server, url=https_server.url.replace("http:", "https:")), "not https")
        assert plain.requests == []


def test_a_full_disk_is_noticed_before_the_download(tmp_path, server):
    store = make_store(tmp_path, server, bytes=10**16)
    _fails(store, "needs 10,000,000,000 MB", "SAMED_HOME")
    assert server.requests == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path, server):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(SAMedError, match="SAMED_HOME"):
        _download(make_store(tmp_path, server))


def test_a_stop_file_leaves_a_download_that_goes_on(store, server, tmp_path):
    stop = tmp_path / "stop"

    def slow_then_stop(handler):
        stop.write_text("")
        slow(0.02)(handler)

    server.answers = [truncated(327_680), slow_then_stop]
    with pytest.raises(Cancelled):
        _download(store, Reporter(stop_file=stop, silent=True))
    part = store.folder / "base.pth.part"
    have = part.stat().st_size
    assert 327_680 <= have < SIZE
    assert not (store.folder / "base.pth").exists()
    server.requests.clear()
    assert _download(store).read_bytes() == server.payload
    assert server.ranges() == [f"bytes={have}-"]


def test_only_https_or_this_computer_is_asked():
    assert is_allowed_url("https://example.org/a")
    assert is_allowed_url("http://127.0.0.1:80/a")
    for bad in ("http://example.org", "http://127.0.0.1.example.org", "ftp://127.0.0.1", "file:///a", "https://", "a"):
        assert not is_allowed_url(bad), bad
    assert not is_allowed_url("http://127.0.0.1", allow_loopback=False)
