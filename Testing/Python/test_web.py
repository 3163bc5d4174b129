"""`samed web` without a browser: who gets in, what may be uploaded, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from http.cookies import SimpleCookie

import pytest
import SimpleITK as sitk

from SAMedLib.errors import SAMedError
from SAMedLib.imaging.volume import read_volume
from SAMedLib.web.listening import until_unwanted
from SAMedLib.web.own_voxels import check_own_voxels
from SAMedLib.web.page_words import in_page_words
from SAMedLib.web.private_folder import PrivateFolder, sweep

pytest.importorskip("aiohttp", reason="the extra `web` is not installed")

from aiohttp import FormData, web
from aiohttp.test_utils import TestClient, TestServer

from SAMedLib.web.guard import NEW_SESSION, Guard
from SAMedLib.web.uploads import plain_name, receive

TOKEN = "correct horse & battery"
SHOWN = "token=correct%20horse%20%26%20battery"


@pytest.fixture
def door():
    """A guarded server; run(visit) hands a function that makes clients, each like a browser of its own."""
    wiped = []

    async def on_new_user():
        wiped.append(True)

    async def secret(request):
        return web.Response(text="the patient's scan")

    async def socket(request):
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for _ in answer:
            pass
        return answer

    async def serve(visit):
        application = web.Application()
        Guard(TOKEN, on_new_user).protect(application)
        application.router.add_get("/", secret)
        application.router.add_get("/scan", secret)
        application.router.add_get("/ws", socket)
        server = TestServer(application)
        await server.start_server()
        clients = []

        def browser():
            clients.append(TestClient(server))
            return clients[-1]

        try:
            await visit(browser)
        finally:
            for client in clients:
                await client.close()
            await server.close()

    def run(visit):
        asyncio.run(serve(visit))

    run.wiped = wiped
    return run


def test_nothing_is_served_without_the_token(door):
    async def visit(browser):
        stranger = browser()
        for path in ("/", "/scan", "/?token=", "/?token=wrong", f"/scan?{SHOWN}x", "/nowhere", NEW_SESSION):
            answer = await stranger.get(path)
            assert answer.status == 403
            assert "patient" not in await answer.text()
        socket = await stranger.get("/ws", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        assert socket.status == 403

    door(visit)


def test_the_token_opens_the_door_once_and_leaves_the_address(door):
    async def visit(browser):
        mine = browser()
        answer = await mine.get(f"/?{SHOWN}", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = next(iter(SimpleCookie(answer.headers["Set-Cookie"]).values()))
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert TOKEN not in cookie.value
        assert await (await mine.get("/scan")).text() == "the patient's scan"
        await mine.ws_connect("/ws")

    door(visit)


def test_every_answer_forbids_other_hosts(door):
    async def visit(browser):
        mine = browser()
        for path in ("/scan", f"/?{SHOWN}", "/scan"):
            policy = (await mine.get(path)).headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "http" not in policy
            assert "frame-ancestors 'none'" in policy

    door(visit)


def test_another_page_in_the_same_browser_cannot_act_for_the_user(door):
    async def visit(browser):
        mine = browser()
        await mine.get(f"/?{SHOWN}")
        for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
            assert (await mine.get("/scan", headers={"Origin": origin})).status == 403
        own = f"http://{mine.host}:{mine.port}"
        assert (await mine.get("/scan", headers={"Origin": own})).status == 200

    door(visit)


def test_a_second_browser_waits_while_the_first_is_there(door):
    async def visit(browser):
        mine, other = browser(), browser()
        await mine.get(f"/?{SHOWN}")
        socket = await mine.ws_connect("/ws")
        for method in ("get", "post"):
            answer = await getattr(other, method)(f"{NEW_SESSION}?{SHOWN}")
            assert answer.status == 409
            assert "another browser" in await answer.text()
        assert door.wiped == []
        await socket.close()

    door(visit)


def test_a_new_user_gets_in_only_after_everything_was_deleted(door):
    async def visit(browser):
        mine, other = browser(), browser()
        await mine.get(f"/?{SHOWN}")
        await (await mine.ws_connect("/ws")).close()
        await asyncio.sleep(0.05)
        asked = await other.get(f"/?{SHOWN}")  # a preview of the link must not end a session
        assert (asked.status, door.wiped) == (409, [])
        assert f"{NEW_SESSION}?{SHOWN}" in await asked.text()
        assert (await mine.get("/scan")).status == 200
        begun = await other.post(f"{NEW_SESSION}?{SHOWN}")
        assert (begun.status, door.wiped) == (200, [True])
        assert (await mine.get("/scan")).status == 403

    door(visit)


def upload(files, folder, most_bytes=1000, called="scan"):
    """What `receive` makes of files as a browser sends them; raises what it raises."""
    outcome = []

    async def handle(request):
        try:
            outcome.append(await receive(request, folder, most_bytes))
        except SAMedError as error:
            outcome.append(error)
        return web.Response()

    async def send():
        application = web.Application()
        application.router.add_post("/", handle)
        async with TestServer(application) as server, TestClient(server) as client:
            form = FormData({"kind": "scan", "folder": called})
            for name, content in files:
                form.add_field("files", content, filename=name)
            await client.post("/", data=form)

    asyncio.run(send())
    if isinstance(outcome[0], SAMedError):
        raise outcome[0]
    return outcome[0]


def test_a_file_keeps_its_name_and_several_are_a_folder(tmp_path):
    one, many = tmp_path / "one", tmp_path / "many"
    one.mkdir(), many.mkdir()
    path = upload([("ct.nii.gz", b"abc")], one)
    assert (path.name, path.read_bytes()) == ("ct.nii.gz", b"abc")
    path = upload([("1.dcm", b"a"), ("1.dcm", b"b")], many, called="../series 3")
    assert path == many / "series 3"
    assert sorted(file.read_bytes() for file in path.iterdir()) == [b"a", b"b"]


def test_a_header_leads_to_its_voxels(tmp_path):
    assert upload([("ct.raw", b"abc"), ("ct.mhd", b"x")], tmp_path).name == "ct.mhd"


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", ".", "/etc/passwd", "C:\\x\\..\\ct.nrrd", "a\x00b", ".ssh"])
def test_names_from_outside_stay_inside_the_folder(name, tmp_path):
    plain = plain_name(name)
    assert (tmp_path / plain).parent == tmp_path
    assert plain not in ("", ".", "..")
    assert not plain.startswith(".")
    assert (tmp_path / plain).resolve().parent == tmp_path.resolve()


_META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\nBinaryData = True\nElementDataFile = {}\n"
)
_NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\nendian: little\n{}\n\n"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("ct.mhd", _META.format("{secret}")),
        ("ct.mhd", _META.format("../secret.raw")),
        ("ct.mha", _META.format("LIST 2\n../secret.raw\n../secret.raw")),
        ("ct.mhd", _META.format("../secre%c.raw 116 116 1")),
        ("ct.nhdr", _NRRD.format("data file: {secret}")),
        ("ct.nrrd", _NRRD.format("DataFile: ../secret.raw")),
        ("ct.nrrd", _NRRD.format("data file: LIST\n../secret.raw")),
    ],
)
def test_an_upload_leads_to_no_file_of_the_server(name, header, tmp_path):
    secret, sent = tmp_path / "secret.raw", tmp_path / "sent"
    secret.write_bytes(bytes(128))
    sent.mkdir()
    (sent / name).write_text(header.replace("{secret}", str(secret)))
    (sent / "LIST 2").touch()  # sent along, so that the name is known
    (sent / "LIST").touch()
    with pytest.raises(SAMedError, match="which was not sent"):
        check_own_voxels(sent / name)


@pytest.mark.parametrize(
    ("name", "header"), [("ct.mhd", _META.format("ct.raw")), ("ct.nhdr", _NRRD.format("data file: ct.raw"))]
)
def test_voxels_that_were_sent_along_are_found(name, header, tmp_path):
    (tmp_path / "ct.raw").write_bytes(bytes(range(128)))
    (tmp_path / name).write_text(header)
    check_own_voxels(tmp_path / name)
    assert read_volume(tmp_path / name).array.size == 64


def test_formats_that_may_lead_elsewhere_are_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "ct.h5", "w") as file:
        file["ITKImage/0/Dimension"] = [4, 4, 4]
    (tmp_path / "ct.h5").rename(tmp_path / "ct.hdf5")
    with pytest.raises(SAMedError, match="give the CT as NIfTI, NRRD, MetaImage or DICOM"):
        check_own_voxels(tmp_path / "ct.hdf5")


@pytest.mark.parametrize("frames", [2, 5])
def test_advice_is_about_the_page_and_not_about_the_command_line(frames, tmp_path):
    path = tmp_path / "ct.nii.gz"
    sitk.WriteImage(sitk.JoinSeries([sitk.Image(4, 4, 4, sitk.sitkInt16)] * frames), str(path))
    with pytest.raises(SAMedError, match="--frame") as told:
        read_volume(path)
    said = in_page_words(str(told.value), path)
    assert said == f"ct.nii.gz holds 4 dimensions (4 x 4 x 4 x {frames}); send one frame of it as a file of its own."


def test_uploads_end_at_the_limit_whatever_the_header_says(tmp_path):
    with pytest.raises(SAMedError, match="--max-upload"):
        upload([("ct.nrrd", b"x" * 1001)], tmp_path)
    with pytest.raises(SAMedError, match="--max-upload"):
        upload([("ct.nrrd", b"x" * 2_000_000)], tmp_path)


def test_a_request_without_a_file_is_answered_with_a_sentence(tmp_path):
    with pytest.raises(SAMedError, match="No file arrived"):
        upload([], tmp_path)


def test_a_session_folder_is_private_and_goes_with_the_session(tmp_path):
    folder = PrivateFolder(tmp_path)
    (folder.new() / "ct.nrrd").write_text("x")
    if os.name == "posix":
        assert folder.path.stat().st_mode & 0o077 == 0
    assert sweep(tmp_path) == 0  # it is in use
    assert folder.path.is_dir()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_session_left_is_swept_at_the_next_start(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from SAMedLib.web.private_folder import PrivateFolder\n"
        "folder = PrivateFolder(Path(sys.argv[1])); (folder.new() / 'ct.nrrd').write_text('x'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    assert len(list(tmp_path.rglob("ct.nrrd"))) == 1
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_sweeping_follows_no_link_that_somebody_laid_out(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "temp").mkdir()
    (tmp_path / "temp" / "samed-web-0123.lock").touch()
    (tmp_path / "temp" / "samed-web-0123").symlink_to(tmp_path / "precious")
    assert sweep(tmp_path / "temp") == 0
    assert (tmp_path / "precious").is_dir()


@pytest.mark.parametrize(("error", "told"), [(ConnectionResetError("closing transport"), False), (KeyError("x"), True)])
def test_a_tab_that_closes_while_a_picture_is_sent_is_no_traceback(error, told, caplog):
    async def send():
        raise error

    async def serve():
        turns = iter([True, True, False])
        asyncio.ensure_future(send())  # noqa: RUF006
        await until_unwanted(lambda: next(turns))
        gc.collect()

    asyncio.run(serve())
    assert ("never retrieved" in caplog.text) is told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--token", "short"], "can be guessed"),
        (["--port", "70000"], "no port 70000"),
        (["ct.nrrd", "--phantom"], "not both"),
        (["--users", "0"], "--users 1 or more"),
    ],
)
def test_wrong_arguments_get_a_sentence(arguments, sentence, capsys):
    from SAMedLib.web.__main__ import main

    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, capsys):
    import importlib.util

    from SAMedLib.web.__main__ import main

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if "trame" in name else find(name, *more))
    assert main([]) == 1
    assert 'pip install "samed[web]"' in capsys.readouterr().err
