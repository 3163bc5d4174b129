"""The server for several people: a door, and behind it a process for each of them."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from SAMedLib.web.listening import cannot_listen, until_unwanted
from SAMedLib.web.reception import Reception

_GOODBYE_S = 1


async def serve_several(
    host: str, port: int, reception: Reception, on_ready: Callable[[int], None], is_wanted: Callable[[], bool]
) -> None:
    """Serve until a signal comes or nobody wants it any more; then all sessions end.

    Args:
        on_ready: gets the port.

    Raises:
        SAMedError: if no session can be started, or nothing can be served there.
    """
    runner = web.AppRunner(reception.application(), access_log=None, shutdown_timeout=_GOODBYE_S)
    try:
        await reception.prepare()
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        on_ready(runner.addresses[0][1])
        await until_unwanted(is_wanted, reception.tidy)
    finally:
        await reception.close()
        await runner.cleanup()
