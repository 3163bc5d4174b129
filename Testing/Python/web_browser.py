"""A running `samed web` and a real browser in front of it, for tests."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from SAMedLib.imaging.volume import Volume, write_array

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 240
# what Debian's build needs as root and on a computer without internet
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
VIEWS = ("Green", "Yellow", "ThreeD", "Red")


def reason_not_to_browse() -> str | None:
    """One sentence saying why the page cannot be tested here, None if it can."""
    for package in ("trame_slicer", "playwright"):
        if importlib.util.find_spec(package) is None:
            return f"the page of samed web is not tested: {package} is missing; run: make test-web"
    if CHROMIUM is None:
        return "the page of samed web is not tested: chromium is missing (apt install chromium, or set CHROMIUM)"
    return None


class Server:
    """`samed web` as a process of its own."""

    def __init__(self, temporary: Path, *arguments: str) -> None:
        environment = {**os.environ, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "SAMedLib", "web", "--port", "0", "--no-browser", *arguments]
        self.temporary = temporary
        self._log = temporary.with_suffix(".log")
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def wait(self) -> None:
        """Until it serves, at `address`."""
        wait_until(lambda: "token=" in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said
        self.address = re.search(r"http://\S+", self.said).group()

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def children(self) -> list[int]:
        """Process numbers of what it started and that still runs."""
        listed = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(number) for path in listed for number in path.read_text().split()]

    def files(self) -> list[Path]:
        return [path for path in self.temporary.rglob("*") if path.is_file() and path.suffix != ".lock"]

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def running(temporary: Path, *arguments: str) -> Iterator[Server]:
    temporary.mkdir(exist_ok=True)
    server = Server(temporary, *arguments)
    try:
        server.wait()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(10)


@contextmanager
def browsing() -> Iterator[Any]:
    """A chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


def open_page(context: Any, address: str) -> Any:
    """The page in a tab of its own; `page.requested` and `page.complaints` collect what it does."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.requested, page.complaints = [], []
    page.on("request", lambda request: page.requested.append(request.url))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#segment")
    return page


def send(page: Any, *files: Path, kind: str = "scan") -> None:
    """Choose files as a user does, and wait until they are open or refused."""
    with page.expect_file_chooser() as chooser, page.expect_response(f"**/upload/{kind}"):
        page.click("#open-scan" if kind == "scan" else "#compare")
        chooser.value.set_files([str(file) for file in files])
    page.wait_for_function("() => window.trame.state.get('upload_percent') === null")


def status_becomes(page: Any, pattern: str) -> str:
    """Wait for it; a failure shows what the line says instead."""
    try:
        wait_until(lambda: re.search(pattern, page.inner_text("#status")))
    except AssertionError:
        assert page.inner_text("#status") == pattern
    return page.inner_text("#status")


def coloured(page: Any, view: str) -> float:
    """Which part of a slice view is tinted; a CT alone is grey."""
    pixels = picture_of(page, view)[40:-40]  # without the buttons and the slider
    return float((np.ptp(pixels, axis=2) > 30).mean())


def picture_of(page: Any, view: str) -> np.ndarray:
    """Red, green and blue, [rows, columns, 3]."""
    from PIL import Image

    box = page.locator(".layout-grid-item").nth(VIEWS.index(view)).bounding_box()
    with Image.open(BytesIO(page.screenshot(clip=box))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def wait_until(condition: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def written(volume: Volume, array: np.ndarray, path: Path, spacing: float = 1) -> Path:
    """An array on the grid of a volume, or on a coarser one, as a file."""
    geometry = volume.geometry
    if spacing != 1:
        step = (geometry.spacing[0] * spacing, geometry.spacing[1] * spacing, geometry.spacing[2])
        geometry = replace(geometry, size=array.shape[::-1], spacing=step)
    write_array(path, array, geometry)
    return path
