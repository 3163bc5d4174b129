"""A browser's requests handed on to the process that holds its session, and the answers back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType, web

from SAMedLib.web import door
from SAMedLib.web.session_process import SessionProcess

_CHUNK = 1 << 16
_HEARTBEAT_S = 30  # a laptop that was closed does not say goodbye
# they are about one connection, or about who asks
_OURS = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
_OURS |= {"host", "origin", "cookie", "set-cookie"}


def is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def relay(request: web.Request, session: SessionProcess) -> web.StreamResponse:
    """Hand a request on; bodies go through in pieces, whatever their size."""
    try:
        if is_websocket(request):
            return await _relay_socket(request, session)
        return await _relay_request(request, session)
    except (ClientError, ConnectionError):
        return door.page(502, "Your session did not answer; reload the page.")


async def _relay_request(request: web.Request, session: SessionProcess) -> web.StreamResponse:
    async with session.client.request(
        request.method,
        session.address + request.raw_path,
        headers=_passed_on(request.headers),
        data=request.content if request.body_exists else None,
        allow_redirects=False,
    ) as inner:
        answer = web.StreamResponse(status=inner.status, headers=_passed_on(inner.headers))
        await answer.prepare(request)
        async for chunk in inner.content.iter_chunked(_CHUNK):
            await answer.write(chunk)
        await answer.write_eof()
    return answer


async def _relay_socket(request: web.Request, session: SessionProcess) -> web.WebSocketResponse:
    outer = web.WebSocketResponse(max_msg_size=0, heartbeat=_HEARTBEAT_S)
    async with session.client.ws_connect(session.address + request.raw_path, max_msg_size=0) as inner:
        await outer.prepare(request)
        ways = [asyncio.create_task(_pass_on(outer, inner)), asyncio.create_task(_pass_on(inner, outer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        await outer.close()
    return outer


async def _pass_on(
    source: web.WebSocketResponse | ClientWebSocketResponse, target: web.WebSocketResponse | ClientWebSocketResponse
) -> None:
    with contextlib.suppress(ConnectionError):
        async for message in source:
            if message.type == WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await target.send_bytes(message.data)


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _OURS}
