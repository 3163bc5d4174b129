"""Who may come in: one browser that was given the token, and nobody else, before anything is served."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from aiohttp import web

from SAMedLib.web import door

NEW_SESSION = "/new-session"


class Guard:
    """The token opens the door once: the browser that shows it gets a cookie, and the session is that browser's.

    A session has one state, so a second browser is refused while the first one is there. Once its tabs are closed,
    whoever has the token may begin anew, after all data of the session was deleted.

    Args:
        token: a secret of this run of the server.
        on_new_user: deletes everything; called before another browser gets in.
    """

    def __init__(self, token: str, on_new_user: Callable[[], Awaitable[None]]) -> None:
        self._token = token
        self._on_new_user = on_new_user
        self._owner = ""
        self._connections = 0

    def protect(self, application: web.Application) -> None:
        """Stand before every route of the application, those for files and the websocket included."""
        application.middlewares.append(self._check)
        application.on_response_prepare.append(door.add_headers)

    @web.middleware
    async def _check(self, request: web.Request, handler: Callable) -> web.StreamResponse:
        if door.is_foreign(request):
            return door.page(403, door.FOREIGN)
        if self._owner and door.equal(door.shown_key(request), self._owner):
            if "token" in request.query:  # it does not stay in the address bar and the history
                raise web.HTTPSeeOther("/")
            return await self._serve(request, handler)
        if not door.has_token(request, self._token):
            return door.page(403, door.UNINVITED)
        if self._connections:
            return door.page(
                409,
                "The workbench is open in another browser. One session belongs to one person: close the tab there, "
                "or start <code>samed web</code> with <code>--users</code>.",
            )
        if self._owner and not (request.method == "POST" and request.path == NEW_SESSION):
            return door.page(
                409, "A session of another browser is still here, though its tab is closed.", self._offer()
            )
        if self._owner:
            await self._on_new_user()
        answer, self._owner = door.with_key(request)
        raise answer

    async def _serve(self, request: web.Request, handler: Callable) -> web.StreamResponse:
        if "upgrade" not in request.headers.get("Connection", "").lower():
            return await handler(request)
        self._connections += 1
        try:
            return await handler(request)
        finally:
            self._connections -= 1

    def _offer(self) -> str:
        action = html.escape(f"{NEW_SESSION}?token={quote(self._token, safe='')}")
        return (
            f'<form method="post" action="{action}"><button>Delete its data and start a new session</button></form>'
            "<p>To go on with it instead, open it in the browser that it was started in.</p>"
        )
