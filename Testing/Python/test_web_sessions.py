"""Who sees what in `samed web`, one after another or side by side, and what stays; `make test-web` runs this."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import SimpleITK as sitk

import web_browser
from web_browser import open_page, picture_of, running, send, status_becomes, wait_until, written

pytest_plugins = ["web_fixtures"]
REASON = web_browser.reason_not_to_browse()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture
def server(tmp_path):
    """For two people."""
    with running(tmp_path / "temporary", "--users", "2") as server:
        yield server
        assert "Traceback" not in server.said


# first: a browser leaves its event loop in this thread
def test_a_session_that_nobody_comes_back_to_makes_room(tmp_path, monkeypatch):
    from aiohttp import DummyCookieJar
    from aiohttp.test_utils import TestClient, TestServer

    from SAMedLib.web.reception import Reception

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))

    async def visit():
        reception = Reception("correct horse", 1, [], absent_s=0.5)
        async with (
            TestServer(reception.application()) as server,
            TestClient(server, cookie_jar=DummyCookieJar()) as one,
        ):
            came = await one.get("/?token=correct horse", allow_redirects=False)
            mine = {"Cookie": re.match(r"[^;]+", came.headers["Set-Cookie"]).group()}
            async with one.ws_connect("/ws", headers=mine):
                await asyncio.sleep(1)
                await reception.tidy()
                assert (await one.get("/index.html", headers=mine)).status == 200
                assert (await one.get("/?token=correct horse")).status == 409
                assert (await one.get("/index.html", headers={**mine, "Origin": "http://evil.example"})).status == 403
            assert len(list(temporary.glob("*.lock"))) == 1
            await asyncio.sleep(1)
            await reception.tidy()
            assert (await one.get("/index.html", headers=mine)).status == 403
            assert list(temporary.iterdir()) == []
            await reception.close()

    asyncio.run(visit())
    assert list(temporary.iterdir()) == []


def test_two_people_work_side_by_side_and_see_only_their_own(browser, server, phantom, tmp_path):
    anna, ben = tmp_path / "anna.nii.gz", tmp_path / "ben.nii.gz"
    written(phantom.volume, phantom.volume.array, anna)
    written(phantom.volume, phantom.volume.array[:, ::2, ::2], ben, spacing=2)
    with browser.new_context(accept_downloads=True) as first, browser.new_context(accept_downloads=True) as second:
        hers, his = open_page(first, server.address), open_page(second, server.address)
        send(hers, anna)
        assert his.inner_text("#panel").count("anna") == 0
        hers.click("#segment")
        send(his, ben)  # while she waits for her result
        assert his.inner_text("#scan").startswith("ben\n56 x 56 x 12")
        status_becomes(hers, "organs? found in anna")
        assert hers.inner_text("#scan").startswith("anna\n112 x 112 x 12")
        told = his.evaluate("JSON.stringify(window.trame.state.state)")
        assert "anna" not in told
        assert his.locator("#result").count() == 0
        root = server.address.partition("?")[0]
        assert second.request.get(root + "download/nii.gz").status == 409
        with hers.expect_download() as download:
            hers.click(".download >> nth=1")
        download.value.save_as(tmp_path / "result.nii.gz")
        assert sitk.ReadImage(str(tmp_path / "result.nii.gz")).GetSize() == (112, 112, 12)
        wait_until(lambda: picture_of(hers, "Red")[40:-40].max() > 150)  # the views come through as well
        assert (hers.complaints, his.complaints) == ([], [])
        with browser.new_context() as third:
            refused = third.request.get(server.address)
            assert refused.status == 409
            assert "All 2 places are taken" in refused.text()
            assert third.request.get(root).status == 403


def test_when_the_door_ends_so_do_the_sessions_and_their_data(browser, server, tmp_path):
    with browser.new_context() as context:
        page = open_page(context, server.address)
        (tmp_path / "letter.txt").write_text("Dear colleague")
        send(page, tmp_path / "letter.txt")
        assert "letter.txt" in page.inner_text("#upload-error")
        (session,) = server.children()
        assert server.stop(signal.SIGTERM) == 0
    assert not Path(f"/proc/{session}").exists()
    assert list(server.temporary.iterdir()) == []


def test_a_door_that_is_killed_takes_its_sessions_along(browser, server):
    with browser.new_context() as context:
        open_page(context, server.address)
        server.stop(signal.SIGKILL)
        wait_until(lambda: list(server.temporary.iterdir()) == [])


def test_a_tab_that_closes_while_the_server_sends_is_no_error(tmp_path):
    import msgpack
    from aiohttp import ClientSession, CookieJar
    from wslink.chunking import generate_chunks

    async def ask_and_leave(address):
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as tab:
            await (await tab.get(address)).read()
            socket = await tab.ws_connect(address.split("?")[0] + "ws")
            for number in range(300):
                hello = {"method": "wslink.hello", "args": [{"secret": "wslink-secret"}]}
                (message,) = generate_chunks(msgpack.packb({"wslink": "1.0", "id": f"system:c0:{number}", **hello}), 0)
                await socket.send_bytes(message)
            socket._response.connection.transport.abort()
            await asyncio.sleep(0.5)

    with running(tmp_path / "temporary") as server:
        with ThreadPoolExecutor(1) as elsewhere:  # the browser's event loop is in this thread
            elsewhere.submit(asyncio.run, ask_and_leave(server.address)).result()
        assert server.stop() == 0
        assert "Traceback" not in server.said


def test_a_scan_that_cannot_be_read_is_told_at_the_start(tmp_path, capfd):
    from SAMedLib.web.__main__ import main

    arguments = [str(tmp_path / "missing.nii.gz"), "--users", "2", "--port", "0", "--no-browser"]
    with ThreadPoolExecutor(1) as elsewhere:  # the browser's event loop is in this thread
        assert elsewhere.submit(main, arguments).result() == 1
    assert "missing.nii.gz does not exist" in capfd.readouterr().err


def test_the_next_user_finds_nothing_of_the_one_before(browser, ct, tmp_path):
    with running(tmp_path / "temporary", str(ct)) as server:
        with browser.new_context() as first:
            page = open_page(first, server.address)
            send(page, _bad(tmp_path / "letter of patient one.txt"))
            page.click("#segment")
            wait_until(server.children)
            page.close()
        with browser.new_context() as second:
            page = second.new_page()
            wait_until(lambda: "tab is closed" in page.goto(server.address).text())
            page.click("button")
            page.wait_for_selector("#segment")
            wait_until(lambda: not server.children())
            said = page.inner_text("body") + page.evaluate("JSON.stringify(window.trame.state.state)")
            assert "patient" not in said.replace("not for patients", "")
            assert server.files() == []
            for view in ("Green", "Yellow", "Red"):
                wait_until(lambda view=view: picture_of(page, view)[60:-60, 60:-60].max() < 40)
            address = server.address.split("?")[0]
            assert second.request.get(address + "download/nii.gz").status == 409
            send(page, ct)
            page.click("#segment")
            status_becomes(page, "organs? found")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_the_data_is_gone_at_the_next_start(number, browser, ct, tmp_path):
    temporary = tmp_path / "temporary"
    with running(temporary, str(ct)) as server, browser.new_context() as context:
        page = open_page(context, server.address)
        page.click("#segment")
        wait_until(lambda: server.files() and server.children())
        (child,) = server.children()
        code = server.stop(number)
        if number != signal.SIGKILL:
            assert code == 0
            assert list(temporary.iterdir()) == []
        wait_until(lambda: not _alive(child))
    with running(temporary) as server:
        assert server.stop() == 0
    assert list(temporary.iterdir()) == []


def _bad(path: Path) -> Path:
    path.write_text("Dear colleague")
    return path


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
