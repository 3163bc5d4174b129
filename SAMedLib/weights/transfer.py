"""Downloading one large file over a line that may break.

Proxies and certificates come from the environment, as `requests` reads them: HTTPS_PROXY, NO_PROXY,
REQUESTS_CA_BUNDLE. A transfer that ends early leaves its bytes in the `.part` file and how to go on in
`.part.json`; the next attempt, now or next week, asks only for the rest.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

from SAMedLib.errors import SAMedError
from SAMedLib.events import Reporter
from SAMedLib.files import write_then_rename
from SAMedLib.weights.registry import is_allowed_url

CHUNK = 32 * 1024
MOST_REDIRECTS = 5
RETRIED_STATUS = (408, 425, 429)


@dataclass(frozen=True)
class Patience:
    """When to try again, and when to give up.

    Attributes:
        connect: seconds to wait for a connection.
        stall: seconds of silence after which a server counts as stalled.
        attempts: attempts in a row that bring no new byte before giving up.
        pause: seconds before the second attempt; doubles each time.
        longest_pause: seconds; also the most that a server's Retry-After is heeded.
    """

    connect: float = 10.0
    stall: float = 30.0
    attempts: int = 4
    pause: float = 1.0
    longest_pause: float = 30.0


class TransferFailed(SAMedError):
    """The file did not come; the message is the reason only, for the caller to put into a sentence."""


class _Session(requests.Session):
    """Follows no redirect, and reads no redirect's body, on its own."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


class _Interrupted(Exception):
    """Worth another attempt."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class _PartState:
    """Where the bytes of a .part file come from.

    `validator` is the server's strong ETag, or Last-Modified; None means that it cannot be resumed.
    """

    url: str
    validator: str | None
    total: int | None


def fetch(
    url: str, part: Path, smallest: int, largest: int, report: Reporter, stage: str, patience: Patience | None = None
) -> None:
    """Bring `url` into `part`, resuming what is there; returns when the server has sent all of it.

    Args:
        smallest, largest: bytes; a server that offers or sends more or fewer is refused.
        stage: what to call this in progress events; they count bytes.

    Raises:
        TransferFailed: with the reason.
        Cancelled: if the user asked to stop; `part` stays for the next time.
    """
    patience = patience or Patience()
    longest = _size(part)
    failures = 0
    with _Session() as session:
        while True:
            try:
                return _attempt(session, url, part, smallest, largest, report, stage, patience)
            except _Interrupted as interruption:
                if _size(part) > longest:
                    longest, failures = _size(part), 0
                failures += 1
                if failures >= patience.attempts:
                    raise TransferFailed(f"{interruption} ({failures} attempts)") from interruption
                pause = min(max(patience.pause * 2 ** (failures - 1), interruption.wait), patience.longest_pause)
                report.note(f"{interruption}; trying again in {pause:.0f} s.")
                _sleep(pause, report)


def discard(part: Path) -> None:
    """Forget a partial download."""
    part.unlink(missing_ok=True)
    _state_path(part).unlink(missing_ok=True)


def _attempt(session, url, part, smallest, largest, report, stage, patience) -> None:
    if _size(part) > largest:
        discard(part)
    state = _read_state(part)
    have = _size(part)
    resumable = have > 0 and state is not None and state.url == url and state.validator is not None
    if resumable and have == state.total:
        return
    headers = {"Accept-Encoding": "identity"}
    if resumable:
        headers |= {"Range": f"bytes={have}-", "If-Range": state.validator}
    with _get(session, url, headers, patience) as response:
        host = urlsplit(response.url).hostname
        if resumable and response.status_code == 416:
            discard(part)  # what is here is not the beginning of what is there
            raise _Interrupted(f"{host} no longer has the file that was begun")
        _check_status(response, host)
        _refuse_web_page(response, host)
        start = _start(response, have if resumable else 0, state, part)
        total = _total(response, start)
        if total is not None and not smallest <= total <= largest:
            raise TransferFailed(f"{host} offers {total} bytes, and the file has {_range(smallest, largest)}")
        with open(part, "r+b" if start else "wb") as handle:
            handle.seek(start)
            if not start:  # only now: a state must never describe other bytes than those in the file
                _write_state(part, _PartState(url, _validator(response), total))
            _receive(response, host, handle, start, total, largest, report, stage, patience)
    size = _size(part)
    if size < (total if total is not None else smallest):
        raise _Interrupted(f"{host} stopped after {size} bytes")


def _receive(response, host, handle, start, total, largest, report, stage, patience) -> None:
    done, drawn = start, 0.0
    report.progress(stage, done, total or largest)
    with _interruptions(host, patience):
        for chunk in response.iter_content(CHUNK):
            if start == done == 0 and chunk.lstrip()[:1] == b"<":
                raise _web_page(host)
            done += len(chunk)
            if done > (largest if total is None else total):
                handle.truncate(0)
                raise TransferFailed(f"{host} sends more bytes than the file has")
            handle.write(chunk)
            if time.monotonic() - drawn > 0.2 or done == total:
                drawn = time.monotonic()
                report.progress(stage, done, total or largest, f"{done / 1e6:.1f} of {(total or largest) / 1e6:.1f} MB")


def _get(session: requests.Session, url: str, headers: dict[str, str], patience: Patience) -> requests.Response:
    """GET, following redirects by hand so that each one's scheme is checked before it is asked."""
    to_this_computer = urlsplit(url).scheme == "http"
    for _ in range(MOST_REDIRECTS + 1):
        if not is_allowed_url(url, allow_loopback=to_this_computer):
            raise TransferFailed(f"the address leads to {url[:200]}, which is not https")
        host = urlsplit(url).hostname
        with _interruptions(host, patience):
            response = session.get(
                url, headers=headers, stream=True, allow_redirects=False, timeout=(patience.connect, patience.stall)
            )
        if not response.is_redirect:
            return response
        response.close()
        location = response.headers["Location"]
        try:
            url = urljoin(url, location)
        except ValueError:
            url = location
    raise TransferFailed(f"the address is redirected more than {MOST_REDIRECTS} times, in the end to {host}")


@contextmanager
def _interruptions(host: str | None, patience: Patience) -> Iterator[None]:
    """Say in words what went wrong, and whether trying again can help."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise TransferFailed(
            f"the certificate of {host} is not trusted here (if a proxy replaces certificates, set REQUESTS_CA_BUNDLE "
            f"to the file with its own)"
        ) from error
    except requests.exceptions.ProxyError as error:
        raise _Interrupted("the proxy named by HTTPS_PROXY does not let the transfer through") from error
    except requests.exceptions.ConnectTimeout as error:
        raise _Interrupted(f"{host} does not answer; behind a proxy, set HTTPS_PROXY") from error
    except requests.exceptions.Timeout as error:
        raise _Interrupted(f"{host} was silent for {patience.stall:g} s") from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise TransferFailed(f"the address is not usable ({error})") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _Interrupted(f"{host} cut the transfer short") from error
    except requests.exceptions.ConnectionError as error:
        if "Read timed out" in str(error):  # a stall within the body arrives as this, not as a Timeout
            raise _Interrupted(f"{host} was silent for {patience.stall:g} s") from error
        raise _Interrupted(f"{host} cannot be reached; offline, or behind a proxy: set HTTPS_PROXY") from error
    except requests.exceptions.RequestException as error:
        raise _Interrupted(f"the transfer from {host} broke ({type(error).__name__})") from error


def _check_status(response: requests.Response, host: str | None) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    said = f"{host} answers {status} ({response.reason})"
    if status >= 500 or status in RETRIED_STATUS:
        wait = response.headers.get("Retry-After", "")
        raise _Interrupted(said, float(wait) if wait.isdigit() else 0.0)
    raise TransferFailed(said)


def _refuse_web_page(response: requests.Response, host: str | None) -> None:
    if response.headers.get("Content-Type", "").lower().startswith("text/html"):
        raise _web_page(host)


def _web_page(host: str | None) -> TransferFailed:
    return TransferFailed(f"{host} shows a web page (a quota, a sign-in or a proxy's notice) instead of the file")


def _start(response: requests.Response, have: int, state: _PartState | None, part: Path) -> int:
    """Byte at which the answer starts: `have`, or 0 if the server sends the whole file (anew)."""
    if response.status_code == 200:
        return 0
    agreed = have > 0 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    if not agreed or state is None or _validator(response) not in (None, state.validator):
        discard(part)
        raise _Interrupted(f"{urlsplit(response.url).hostname} answers with another part than was asked for")
    return have


def _total(response: requests.Response, start: int) -> int | None:
    """Size of the whole file in bytes, None if the server does not say."""
    length = response.headers.get("Content-Length", "")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity" or not length.isdigit():
        return None
    return start + int(length)


def _validator(response: requests.Response) -> str | None:
    etag = response.headers.get("ETag")
    if etag and not etag.startswith("W/"):
        return etag
    return response.headers.get("Last-Modified")


def _range(smallest: int, largest: int) -> str:
    return f"{largest}" if smallest == largest else f"{smallest} to {largest}"


def _sleep(seconds: float, report: Reporter) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        report.check_cancelled()
        time.sleep(min(left, 0.1))
    report.check_cancelled()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _state_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_state(part: Path) -> _PartState | None:
    with suppress(OSError, ValueError, TypeError):
        return _PartState(**json.loads(_state_path(part).read_text(encoding="utf-8")))
    return None


def _write_state(part: Path, state: _PartState) -> None:
    with write_then_rename(_state_path(part)) as temporary:
        temporary.write_text(json.dumps(asdict(state)), encoding="utf-8")
