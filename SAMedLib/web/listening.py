"""What every server of ours shares: when it ends, and what it says if it cannot listen."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from SAMedLib.errors import SAMedError

_LOOK_S = 0.5  # how often the server asks whether it is still wanted


async def until_unwanted(is_wanted: Callable[[], bool], meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
    """Return on Ctrl-C, on a request to end, or once `is_wanted` says no; `meanwhile` is called now and then."""
    asyncio.get_running_loop().set_exception_handler(_leave_out_closed_tabs)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends the loop
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set() and is_wanted():
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_S)
        if meanwhile is not None:
            await meanwhile()


def _leave_out_closed_tabs(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A tab that closes while a picture is on its way to it is no fault to be told about."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


def cannot_listen(host: str, port: int, error: OSError) -> SAMedError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return SAMedError(
        f"Nothing can be served at {host}, port {port} ({reason}); give another --port, or 0 for any that is free."
    )
