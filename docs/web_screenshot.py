"""Make the pictures of the workbench: the phantom, or a CT, is opened and segmented in a real browser.

Needs what `make test-web` sets up. usage: web_screenshot.py [PICTURE [CT]]    default: web.png beside this file
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing" / "Python")]

from PIL import Image  # noqa: E402

from web_browser import browsing, coloured, open_page, running, status_becomes, wait_until  # noqa: E402

SIZE = {"width": 1280, "height": 850}


def main(picture: Path, scan: str = "--phantom") -> None:
    column, organ = ("DSC", "gallbladder") if scan == "--phantom" else ("mL", "spleen")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "0", scan) as server:
        with browsing() as browser:
            take(picture, open_page(browser.new_context(viewport=SIZE), server.address), column, organ)
        server.stop()
    with Image.open(picture) as shot:
        shot.convert("RGB").save(picture, optimize=True)


def take(picture: Path, page, column: str, organ: str) -> None:
    page.click("#segment")
    status_becomes(page, "organs found")
    wait_until(lambda: column in page.inner_text("#organs"))
    page.click(f"td:has-text('{organ}')")
    wait_until(lambda: min(coloured(page, view) for view in ("Red", "Green", "ThreeD")) > 0.03)
    page.mouse.move(5, 5)
    page.wait_for_timeout(3000)  # for the last, sharp picture of each view
    page.screenshot(path=picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("web.png"), *sys.argv[2:3])
