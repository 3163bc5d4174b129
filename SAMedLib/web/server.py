"""The server of one session: page, views, files, and the door in front of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from SAMedLib.imaging.volume import Volume
from SAMedLib.web import page
from SAMedLib.web.guard import Guard
from SAMedLib.web.leaving import expect_pages_to_close
from SAMedLib.web.listening import cannot_listen, until_unwanted
from SAMedLib.web.private_folder import PrivateFolder
from SAMedLib.web.routes import Routes


@dataclass(frozen=True)
class Settings:
    """What `samed web` was asked for.

    Attributes:
        host, port: where to listen; port 0 for any that is free.
        token: opens the door.
        most_upload_bytes: of one upload.
    """

    host: str
    port: int
    token: str
    most_upload_bytes: int
    device: str = "auto"
    model: str = "tiny"


@dataclass(frozen=True)
class FirstScan:
    """What is open when the page is opened first; `reference` is on the volume's grid."""

    volume: Volume
    reference: Any = None


async def serve(
    settings: Settings,
    folder: PrivateFolder,
    first: FirstScan | None,
    on_ready: Callable[[int], None],
    is_wanted: Callable[[], bool],
) -> None:
    """Serve until a signal comes or nobody wants it any more.

    Args:
        on_ready: gets the port.
    """
    from trame.app import get_server

    _keep_frameworks_from_guessing()
    expect_pages_to_close()
    server = get_server("samed-web")
    server.enable_module(page.scripts())
    from SAMedLib.web.scan import add_scan
    from SAMedLib.web.views import Views
    from SAMedLib.web.workbench import Workbench

    views = Views(server)
    workbench = Workbench(server.state, views, folder, settings.device, settings.model)
    server.state.most_upload_bytes = settings.most_upload_bytes
    page.build_page(server, workbench, views.layout.initialize_layout_grid)
    if first is not None:
        workbench.show(add_scan(views.scene, first.volume))
        if first.reference is not None:
            await workbench.use_reference(first.reference, "the known organs")

    async def on_new_user() -> None:
        workbench.end()

    def on_bind(web_server: Any) -> None:
        Guard(settings.token, on_new_user).protect(web_server.app)
        Routes(workbench, folder, settings.most_upload_bytes).add_to(web_server.app)

    server.controller.on_server_bind.add(on_bind)
    server.controller.on_server_ready.add(lambda **_: on_ready(server.port))
    server.controller.on_client_connected.add(lambda **_: views.reset())
    running = asyncio.ensure_future(
        server.start(
            host=settings.host,
            port=settings.port,
            exec_mode="coroutine",
            thread=True,  # signals are ours
            timeout=0,
            open_browser=False,
            show_connection_info=False,
            disable_logging=True,
        )
    )
    try:
        await until_unwanted(lambda: not running.done() and is_wanted())
    finally:
        workbench.end()
        if not running.done():
            await server.stop()
    if running.done():
        try:
            running.result()
        except OSError as error:
            raise cannot_listen(settings.host, settings.port, error) from error


def _keep_frameworks_from_guessing() -> None:
    """What they would read of our command line and environment is said in calls."""
    sys.argv = sys.argv[:1]
    os.environ["WSLINK_READY_MSG"] = ""
    for name in ("TRAME_BACKEND", "TRAME_DEFAULT_HOST", "TRAME_ARGS"):
        os.environ.pop(name, None)
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
