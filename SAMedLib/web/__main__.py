"""`samed web`: a workbench in the browser."""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from SAMedLib.command import make_parser, run
from SAMedLib.errors import SAMedError
from SAMedLib.events import Reporter

if TYPE_CHECKING:
    from SAMedLib.web.server import FirstScan

_WHO = {
    False: "Whoever has this address can see the scan. Ctrl-C ends the session.",
    True: "Whoever has this address gets a session of their own. Ctrl-C ends them all.",
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def parser() -> argparse.ArgumentParser:
    options = make_parser("web", "A workbench in the browser: open a CT, segment it, look at it, keep the result.")
    options.add_argument("volume", type=Path, nargs="?", metavar="VOLUME", help="a CT to open: a file or DICOM folder")
    options.add_argument("--phantom", action="store_true", help="open a made-up CT with known organs instead")
    options.add_argument("--host", default="127.0.0.1", help="another address than this computer's own lets others in")
    options.add_argument("--users", type=int, default=1, help="how many people may work at a time, each for themselves")
    options.add_argument("--port", type=int, default=8080, help="0 for any that is free")
    options.add_argument("--token", help="what the browser has to show; made up by default, which is safer")
    options.add_argument("--max-upload", type=float, default=2000, metavar="MB", help="largest upload")
    options.add_argument("--model", default="tiny", metavar="NAME", help="which model is chosen at first")
    options.add_argument("--device", default="auto", help="where models run: auto, cpu, cuda or mps")
    options.add_argument("--no-browser", action="store_true", help="open no browser, only print the address")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    return run(parser(), _work, argv)


def _work(args: argparse.Namespace, report: Reporter) -> None:
    from SAMedLib.web.extra import check_extra

    if args.volume and args.phantom:
        raise SAMedError("Give a VOLUME or --phantom, not both.")
    if args.token is not None and len(args.token) < 8:
        raise SAMedError("A token of less than 8 characters can be guessed; give a longer one, or none.")
    if not 0 <= args.port <= 65535:
        raise SAMedError(f"There is no port {args.port}; give one from 1 to 65535, or 0 for any that is free.")
    if args.users < 1:
        raise SAMedError(f"There is nothing to serve to {args.users} users; give --users 1 or more.")
    check_extra()
    import asyncio

    from SAMedLib.web.door import make_token

    token = args.token or make_token()

    def on_ready(port: int) -> None:
        address = f"http://{_name_of(args.host)}:{port}/?token={quote(token, safe='')}"
        report.say(f"Open {address}\n{_WHO[args.users > 1]}")
        if args.host not in _LOOPBACK:
            report.note(
                "It can be reached from the network, and what is sent is not encrypted; an SSH tunnel is safer."
            )
        if args.host in _LOOPBACK and not args.no_browser:
            import webbrowser

            asyncio.get_running_loop().run_in_executor(None, webbrowser.open, address)

    serve = _serve_several if args.users > 1 else _serve_one
    serve(args, token, on_ready, lambda: not report.stop_requested)
    report.say("The session has ended; its files were deleted.")


def _serve_one(
    args: argparse.Namespace, token: str, on_ready: Callable[[int], None], is_wanted: Callable[[], bool]
) -> None:
    import asyncio

    from SAMedLib.web.extra import prepare_slicer_classes

    prepare_slicer_classes()
    from SAMedLib.web.private_folder import PrivateFolder, sweep
    from SAMedLib.web.server import Settings, serve

    settings = Settings(args.host, args.port, token, int(args.max_upload * 1e6), args.device, args.model)
    first = _first_scan(args)
    sweep()
    folder = PrivateFolder()
    folder.hold_temporary_files()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(settings, folder, first, on_ready, is_wanted))
    finally:
        folder.remove()


def _serve_several(
    args: argparse.Namespace, token: str, on_ready: Callable[[int], None], is_wanted: Callable[[], bool]
) -> None:
    import asyncio

    from SAMedLib.web.reception import Reception
    from SAMedLib.web.several import serve_several

    options = ["--max-upload", str(args.max_upload), "--model", args.model, "--device", args.device]
    if args.phantom:
        options.append("--phantom")
    if args.volume:
        options.append(str(args.volume.absolute()))
    reception = Reception(token, args.users, options)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve_several(args.host, args.port, reception, on_ready, is_wanted))


def _name_of(host: str) -> str:
    """What a browser elsewhere calls this computer."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _first_scan(args: argparse.Namespace) -> FirstScan | None:
    from SAMedLib.web.server import FirstScan

    if args.phantom:
        from SAMedSlicerLib.PhantomSample import makeSample

        phantom = makeSample()
        return FirstScan(phantom.volume, phantom.labels)
    if args.volume:
        from SAMedLib.imaging.volume import read_volume

        return FirstScan(read_volume(args.volume))
    return None


if __name__ == "__main__":
    sys.exit(main())
