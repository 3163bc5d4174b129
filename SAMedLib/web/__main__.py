"""`samed web`: a workbench in the browser."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from SAMedLib.command import make_parser, run
from SAMedLib.errors import SAMedError
from SAMedLib.events import Reporter

if TYPE_CHECKING:
    from SAMedLib.web.server import FirstScan

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def parser() -> argparse.ArgumentParser:
    options = make_parser("web", "A workbench in the browser: open a CT, segment it, look at it, keep the result.")
    options.add_argument("volume", type=Path, nargs="?", metavar="VOLUME", help="a CT to open: a file or DICOM folder")
    options.add_argument("--phantom", action="store_true", help="open a made-up CT with known organs instead")
    options.add_argument("--host", default="127.0.0.1", help="another address than this computer's own lets others in")
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
    from SAMedLib.web.extra import check_extra, prepare_slicer_classes

    if args.volume and args.phantom:
        raise SAMedError("Give a VOLUME or --phantom, not both.")
    if args.token is not None and len(args.token) < 8:
        raise SAMedError("A token of less than 8 characters can be guessed; give a longer one, or none.")
    if not 0 <= args.port <= 65535:
        raise SAMedError(f"There is no port {args.port}; give one from 1 to 65535, or 0 for any that is free.")
    check_extra()
    prepare_slicer_classes()
    import asyncio

    from SAMedLib.web.guard import make_token
    from SAMedLib.web.private_folder import PrivateFolder, sweep
    from SAMedLib.web.server import Settings, serve

    token = args.token or make_token()
    settings = Settings(args.host, args.port, token, int(args.max_upload * 1e6), args.device, args.model)
    first = _first_scan(args)
    sweep()
    folder = PrivateFolder()
    folder.hold_temporary_files()

    def on_ready(port: int) -> None:
        address = f"http://{_name_of(args.host)}:{port}/?token={quote(token, safe='')}"
        report.say(f"Open {address}\nWhoever has this address can see the scan. Ctrl-C ends the session.")
        if args.host not in _LOOPBACK:
            report.note(
                "It can be reached from the network, and what is sent is not encrypted; an SSH tunnel is safer."
            )
        if args.host in _LOOPBACK and not args.no_browser:
            import webbrowser

            asyncio.get_running_loop().run_in_executor(None, webbrowser.open, address)

    try:
        asyncio.run(serve(settings, folder, first, on_ready, lambda: not report.stop_requested))
    except KeyboardInterrupt:
        pass
    finally:
        folder.remove()
    report.say("The session has ended; its files were deleted.")


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
