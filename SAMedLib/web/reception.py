"""Several people on one server: each browser with the token gets a session of its own, in a process of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

from SAMedLib.errors import SAMedError
from SAMedLib.web import door
from SAMedLib.web.relay import is_websocket, relay
from SAMedLib.web.session_process import SessionProcess

ABSENT_S = 30 * 60  # after the last tab was closed
_NEVER_SEEN_S = 2 * 60  # a preview of the link takes no place for long


@dataclass
class _Place:
    """A session, and whether somebody is there."""

    session: SessionProcess
    tabs: int = 0
    visited: bool = False
    left: float = field(default_factory=time.monotonic)

    def is_given_up(self, absent_s: float) -> bool:
        patience = absent_s if self.visited else min(absent_s, _NEVER_SEEN_S)
        return not self.session.running or (not self.tabs and time.monotonic() - self.left > patience)


class Reception:
    """Leads every browser to its own session, and ends those that nobody comes back to.

    Args:
        token: a secret of this run of the server.
        users: how many sessions there may be at a time.
        options: of `samed web`, for each of them.
        absent_s: how long a session without a tab is kept.
    """

    def __init__(self, token: str, users: int, options: Sequence[str], absent_s: float = ABSENT_S) -> None:
        self._token = token
        self._users = users
        self._options = list(options)
        self._absent_s = absent_s
        self._places: dict[str, _Place] = {}
        self._starting = 0
        self._spare: SessionProcess | None = None

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._receive)
        application.on_response_prepare.append(door.add_headers)
        return application

    async def prepare(self) -> None:
        """Have the first session ready; if it cannot be started, none can.

        Raises:
            SAMedError: then.
        """
        self._spare = await SessionProcess.start(self._options)

    async def tidy(self) -> None:
        """End the sessions that were given up; to be called now and then."""
        given_up = [key for key, place in self._places.items() if place.is_given_up(self._absent_s)]
        places = [self._places.pop(key) for key in given_up]
        await asyncio.gather(*(place.session.end() for place in places))

    async def close(self) -> None:
        """End all of them."""
        sessions = [place.session for place in self._places.values()]
        if self._spare is not None:
            sessions.append(self._spare)
        self._places, self._spare = {}, None
        await asyncio.gather(*(session.end() for session in sessions))

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        if door.is_foreign(request):
            return door.page(403, door.FOREIGN)
        place = self._places.get(door.shown_key(request))
        if place is not None and place.session.running:
            if "token" in request.query:  # it does not stay in the address bar and the history
                raise web.HTTPSeeOther("/")
            return await self._serve(request, place)
        if not door.has_token(request, self._token):
            return door.page(403, door.UNINVITED)
        return await self._admit(request)

    async def _admit(self, request: web.Request) -> web.StreamResponse:
        await self.tidy()
        if len(self._places) + self._starting >= self._users:
            return door.page(
                409,
                f"All {self._users} places are taken. A place becomes free {self._absent_s / 60:.0f} minutes after its "
                "tab was closed; try again later, or start <code>samed web</code> with more <code>--users</code>.",
            )
        self._starting += 1
        try:
            session, self._spare = self._spare, None
            session = session or await SessionProcess.start(self._options)
        except SAMedError:
            return door.page(503, "No session could be started; the reason is in the terminal of samed web.")
        finally:
            self._starting -= 1
        answer, key = door.with_key(request)
        self._places[key] = _Place(session)
        raise answer

    async def _serve(self, request: web.Request, place: _Place) -> web.StreamResponse:
        if not is_websocket(request):
            return await relay(request, place.session)
        place.tabs += 1
        place.visited = True
        try:
            return await relay(request, place.session)
        finally:
            place.tabs -= 1
            place.left = time.monotonic()
