"""What is the same whoever is let in: the token, requests from elsewhere, and the pages that say no."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from aiohttp import web

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
_DAY_S = 24 * 3600
FOREIGN = "This request came from another page and was refused."
UNINVITED = "Open the address that <code>samed web</code> has printed; it holds the token."


def make_token() -> str:
    return secrets.token_urlsafe(18)


def has_token(request: web.Request, token: str) -> bool:
    return equal(request.query.get("token", ""), token)


def equal(shown: str, secret: str) -> bool:
    """Compare without telling by the time it takes how much of it is right."""
    return hmac.compare_digest(shown.encode(), secret.encode())


def is_foreign(request: web.Request) -> bool:
    """Whether a page of another server makes this request; browsers name that page's server."""
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.host


def shown_key(request: web.Request) -> str:
    """What the browser was given by `with_key`; empty if it was not."""
    return request.cookies.get(_cookie(request), "")


def with_key(request: web.Request) -> tuple[web.HTTPSeeOther, str]:
    """An answer that leads to the page and gives the browser a new key, and that key."""
    key = secrets.token_urlsafe(32)
    answer = web.HTTPSeeOther("/")
    answer.set_cookie(_cookie(request), key, max_age=_DAY_S, httponly=True, samesite="Lax", path="/")
    return answer, key


def page(status: int, text: str, more: str = "") -> web.Response:
    """A page with a sentence; the text is HTML."""
    return web.Response(status=status, text=_PAGE.format(text=text, more=more), content_type="text/html")


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """For `on_response_prepare`: what every answer forbids."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _cookie(request: web.Request) -> str:
    # browsers do not keep the cookies of two ports apart
    return f"samed_{request.url.port}"
