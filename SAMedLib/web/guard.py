"""Who may come in: one browser that was given the token, and nobody else, before anything is served."""

from __future__ import annotations

import hmac
import html
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

from aiohttp import web

NEW_SESSION = "/new-session"
_DAY_S = 24 * 3600
# nothing is fetched from another host, and the page is in nobody's frame; Vue compiles its templates in the page
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' ws: wss: data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with "no-referrer" the form would not say where it comes from
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>SAMed</title>
<body style="font-family: sans-serif; max-width: 40em; margin: 4em auto; padding: 0 1em">
<h1 style="font-size: 1.3em">SAMed</h1><p>{text}</p>{more}</body></html>"""


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
        application.on_response_prepare.append(_add_headers)

    @web.middleware
    async def _check(self, request: web.Request, handler: Callable) -> web.StreamResponse:
        if _is_foreign(request):
            return _page(403, "This request came from another page and was refused.")
        if self._is_owner(request):
            if "token" in request.query:  # it does not stay in the address bar and the history
                raise web.HTTPSeeOther("/")
            return await self._serve(request, handler)
        if not self._has_token(request):
            return _page(403, "Open the address that <code>samed web</code> has printed; it holds the token.")
        if self._connections:
            return _page(
                409,
                "The workbench is open in another browser. One session belongs to one person: start another "
                "<code>samed web</code> with another <code>--port</code>, or close the tab there first.",
            )
        if self._owner and not (request.method == "POST" and request.path == NEW_SESSION):
            return _page(409, "A session of another browser is still here, though its tab is closed.", self._offer())
        if self._owner:
            await self._on_new_user()
        self._owner = secrets.token_urlsafe(32)
        answer = web.HTTPSeeOther("/")
        answer.set_cookie(_cookie(request), self._owner, max_age=_DAY_S, httponly=True, samesite="Lax", path="/")
        raise answer

    async def _serve(self, request: web.Request, handler: Callable) -> web.StreamResponse:
        if "upgrade" not in request.headers.get("Connection", "").lower():
            return await handler(request)
        self._connections += 1
        try:
            return await handler(request)
        finally:
            self._connections -= 1

    def _is_owner(self, request: web.Request) -> bool:
        shown = request.cookies.get(_cookie(request), "")
        return bool(self._owner) and hmac.compare_digest(shown.encode(), self._owner.encode())

    def _has_token(self, request: web.Request) -> bool:
        return hmac.compare_digest(request.query.get("token", "").encode(), self._token.encode())

    def _offer(self) -> str:
        action = html.escape(f"{NEW_SESSION}?token={quote(self._token, safe='')}")
        return (
            f'<form method="post" action="{action}"><button>Delete its data and start a new session</button></form>'
            "<p>To go on with it instead, open it in the browser that it was started in.</p>"
        )


def make_token() -> str:
    return secrets.token_urlsafe(18)


def _is_foreign(request: web.Request) -> bool:
    """Whether a page of another server makes this request; browsers name that page's server."""
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.host


def _cookie(request: web.Request) -> str:
    # browsers do not keep the cookies of two ports apart
    return f"samed_{request.url.port}"


def _page(status: int, text: str, more: str = "") -> web.Response:
    return web.Response(status=status, text=_PAGE.format(text=text, more=more), content_type="text/html")


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
