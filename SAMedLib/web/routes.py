"""Files in and out of a session, as plain requests beside the page's websocket."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from SAMedLib.errors import SAMedError
from SAMedLib.web.exports import FORMATS
from SAMedLib.web.private_folder import PrivateFolder
from SAMedLib.web.uploads import receive

if TYPE_CHECKING:
    from SAMedLib.web.workbench import Workbench

_CHUNK = 1 << 20
_NOT_KEPT = {"Cache-Control": "no-store"}  # patient data stays out of the browser's cache


class Routes:
    """`POST /upload/scan`, `POST /upload/reference`, `GET /download/FORMAT`.

    An upload answers with `{"error": sentence}`, empty if all went well. Its files are removed as soon as they were
    read, and a download's as soon as it was sent.
    """

    def __init__(self, workbench: Workbench, folder: PrivateFolder, most_bytes: int) -> None:
        self._workbench = workbench
        self._folder = folder
        self._most_bytes = most_bytes

    def add_to(self, application: web.Application) -> None:
        application.router.add_post("/upload/{kind:scan|reference}", self._upload)
        formats = "|".join(map(re.escape, FORMATS))
        application.router.add_get(f"/download/{{format:{formats}}}", self._download)

    async def _upload(self, request: web.Request) -> web.Response:
        workbench = self._workbench
        open_file = workbench.open if request.match_info["kind"] == "scan" else workbench.open_reference
        folder, session = self._folder.new(), workbench.session
        status, error = 200, ""
        try:
            path = await receive(request, folder, self._most_bytes)
            if workbench.session != session:
                raise SAMedError("The session ended while the file was sent.")
            await open_file(path)
        except SAMedError as problem:
            status, error = 422, str(problem)
        except OSError as problem:
            status, error = 507, f"The server could not keep the upload ({problem.strerror or problem})."
        except Exception:
            logging.getLogger(__name__).exception("An upload could not be opened.")
            status, error = 500, "The file could not be opened; the reason is in the terminal of samed web."
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return web.json_response({"error": error}, status=status, headers=_NOT_KEPT)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        try:
            path = await self._workbench.write(request.match_info["format"])
        except SAMedError as problem:
            return web.Response(status=409, text=str(problem))
        try:
            return await _send(request, path)
        finally:
            shutil.rmtree(path.parent, ignore_errors=True)


async def _send(request: web.Request, path: Path) -> web.StreamResponse:
    """All of a file, so that it can go as soon as this returns."""
    name = re.sub(r"[^\w.+ -]", "_", path.name, flags=re.ASCII)
    answer = web.StreamResponse(headers={**_NOT_KEPT, "Content-Disposition": f'attachment; filename="{name}"'})
    answer.content_type = "application/octet-stream"
    answer.content_length = path.stat().st_size
    await answer.prepare(request)
    with open(path, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            await answer.write(chunk)
    await answer.write_eof()
    return answer
