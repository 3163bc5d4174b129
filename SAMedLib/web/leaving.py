"""What is sent to a page that has just been closed."""

from __future__ import annotations

import contextlib
from typing import Any

from aiohttp import web


class Socket(web.WebSocketResponse):
    """A websocket whose other end may go at any time, which is no error: tabs are closed in the middle of a picture."""

    async def send_bytes(self, *arguments: Any, **options: Any) -> None:
        with contextlib.suppress(ConnectionError):
            await super().send_bytes(*arguments, **options)


def expect_pages_to_close() -> None:
    """Of wslink, which makes its sockets itself, and else prints two tracebacks for each that closes while it sends.

    For the whole process, so it is for that of a session.
    """
    import wslink.backends.aiohttp as backend

    backend.aiohttp_web.WebSocketResponse = Socket
