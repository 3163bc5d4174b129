"""What the tests of weights share: a web server that misbehaves on request, small stores and adapters."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from SAMedLib.weights.registry import load_registry
from SAMedLib.weights.store import Store
from SAMedLib.weights.transfer import Patience

QUICK = Patience(connect=2.0, stall=0.4, attempts=3, pause=0.01, longest_pause=0.05)
SIZE = 1_000_000

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        answer = self.server.answers.pop(0) if self.server.answers else self.server.usual
        answer(self)

    def send(self, status: int, body: bytes = b"", stop_at: int | None = None, **headers: str) -> None:
        """Headers as keywords, with _ for -; `stop_at` ends the body early."""
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:stop_at])
        self.close_connection = True

    def log_message(self, *_) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Serves `payload`; the first requests get the `answers`, one each, the others the `usual` answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.payload = b""
        self.etag = '"v1"'
        self.answers: list[Answer] = []
        self.usual: Answer = serve
        self.requests: list[tuple[str, dict[str, str]]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.pth"

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]

    def handle_error(self, request, client_address) -> None:
        pass  # clients that hang up are part of the game


def serve(handler: Handler, stop_at: int | None = None) -> None:
    """A good server: ranges, If-Range, ETag; `stop_at` bytes into the file it hangs up."""
    server = handler.server
    begin, wanted = 0, handler.headers.get("Range")
    if wanted and handler.headers.get("If-Range") == server.etag:
        begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
    total = len(server.payload)
    if begin:
        where = {"Content_Range": f"bytes {begin}-{total - 1}/{total}"}
        handler.send(206, server.payload[begin:], stop_at, ETag=server.etag, **where)
    else:
        handler.send(200, server.payload, stop_at, ETag=server.etag)


def truncated(stop_at: int) -> Answer:
    return lambda handler: serve(handler, stop_at)


def failing(status: int, **headers: str) -> Answer:
    return lambda handler: handler.send(status, b"no", **headers)


def redirecting(location: str) -> Answer:
    return lambda handler: handler.send(302, Location=location)


def without_ranges(handler: Handler, stop_at: int | None = None) -> None:
    handler.send(200, handler.server.payload, stop_at, ETag=handler.server.etag)


def stalling(stop_at: int, seconds: float) -> Answer:
    def answer(handler: Handler) -> None:
        serve(handler, stop_at)
        handler.wfile.flush()
        time.sleep(seconds)

    return answer


def slow(seconds_per_chunk: float, chunk: int = 65536) -> Answer:
    def answer(handler: Handler) -> None:
        payload = handler.server.payload
        serve(handler, stop_at=0)
        for start in range(0, len(payload), chunk):
            handler.wfile.write(payload[start : start + chunk])
            handler.wfile.flush()
            time.sleep(seconds_per_chunk)

    return answer


@contextlib.contextmanager
def running() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def write_registry(path: Path, server: Server, **changes) -> Path:
    """A registry with one file, "base": what the server serves, with `changes` (None drops a field)."""
    entry = {
        "filename": "base.pth",
        "kind": "base",
        "description": "a base",
        "license": "MIT",
        "url": server.url,
        "bytes": len(server.payload),
        "sha256": hashlib.sha256(server.payload).hexdigest(),
    }
    entry = {key: value for key, value in (entry | changes).items() if value is not None}
    path.write_text(json.dumps({"version": 1, "files": {"base": entry}}))
    return path


def make_store(tmp_path: Path, server: Server, **changes) -> Store:
    return Store(tmp_path / "home", load_registry(write_registry(tmp_path / "registry.json", server, **changes)))


def make_adapter(path: Path, rank: int = 4, value: float = 0.0, tokens: tuple[int, int] = (9, 8)) -> Path:
    """A small adapter in the published layout."""
    state = {"mask_decoder.mask_tokens.weight": torch.full(tokens, value)}
    for index in range(4):
        state[f"w_a_{index:03d}"], state[f"w_b_{index:03d}"] = torch.zeros(rank, 16), torch.zeros(16, rank)
    torch.save(state, path)
    return path


def make_adapter_store(tmp_path: Path, server: Server, **changes) -> Store:
    """A store whose "base" file is an adapter (published.pth) without a published digest."""
    server.payload = make_adapter(tmp_path / "published.pth").read_bytes()
    structure = {"layout": "SAMed", "rank": 4, "num_classes": 9, "tensors": 9}
    return make_store(tmp_path, server, **{"kind": "adapter", "sha256": None, "structure": structure, **changes})
