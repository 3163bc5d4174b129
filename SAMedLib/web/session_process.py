"""A session in a process of its own: `samed web` for one person, behind a door that serves several."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Sequence
from http.cookies import SimpleCookie

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

from SAMedLib.errors import SAMedError
from SAMedLib.parent import VARIABLE

_ADDRESS = re.compile(rb"http://\S+/\?token=\S+")
_PATIENCE_S = 10  # to delete its data


class SessionProcess:
    """`samed web` on a port that only this computer reaches; this process is its one browser.

    It ends, and deletes its data, when it is told to or when this process is gone.

    Attributes:
        address: "http://127.0.0.1:PORT".
        client: asks it for things, as the browser that owns the session.
    """

    def __init__(self, process: asyncio.subprocess.Process, address: str, client: ClientSession) -> None:
        self.address = address
        self.client = client
        self._process = process
        self._rest = asyncio.create_task(process.stdout.read())  # so that it never waits for a reader

    @classmethod
    async def start(cls, options: Sequence[str]) -> SessionProcess:
        """Start one, and return when it can be asked.

        Raises:
            SAMedError: if it ended instead; it said why on standard error.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "SAMedLib", "web", "--port", "0", "--no-browser", *options),
            env={**os.environ, VARIABLE: str(os.getpid()), "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        try:
            while line := await process.stdout.readline():
                if found := _ADDRESS.search(line):
                    client, address = await _log_in(found.group().decode())
                    return cls(process, address, client)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            raise
        await process.wait()
        raise SAMedError("A session could not be started.")

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def end(self) -> None:
        """End it; its data is deleted when this returns."""
        await self.client.close()
        for tell in (self._process.terminate, self._process.kill):
            with contextlib.suppress(ProcessLookupError):
                tell()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), _PATIENCE_S)
                break
        self._rest.cancel()


async def _log_in(address: str) -> tuple[ClientSession, str]:
    """Show the token; a client with the cookie that it is exchanged for, and the address without the token."""
    root = address.partition("/?")[0]
    patience = ClientTimeout(total=None, sock_connect=10)
    async with (
        ClientSession(cookie_jar=DummyCookieJar(), timeout=patience) as visitor,
        visitor.get(address, allow_redirects=False) as answer,
    ):
        given = SimpleCookie(answer.headers["Set-Cookie"])
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in given.items())
    client = ClientSession(
        cookie_jar=DummyCookieJar(), timeout=patience, auto_decompress=False, headers={"Cookie": cookie}
    )
    return client, root
