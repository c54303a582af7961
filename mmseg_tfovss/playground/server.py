"""The page's server: on this machine only, without a request to any other."""

import errno
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmseg_tfovss.playground.answer import Playground
from mmseg_tfovss.playground.picture import draw_scenes
from mmseg_tfovss.playground.stopping import Stop

LARGEST_FILE = "64mb"  # that is taken for upload
_A_WHILE = 0.5  # seconds between two looks at whether to stop
_LOCAL = ("127.0.0.1", "localhost", "::1")


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before anything slow.

    Raises:
        ValueError: the port is in use, or may not be used, or the host is not this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(address)
    except (socket.gaierror, UnicodeError) as error:
        raise ValueError(f"--host {host} is no address of this machine: try 127.0.0.1.") from error
    except OSError as error:
        remedy = "name another with --port" if error.errno == errno.EADDRINUSE else "name others with --host and --port"
        raise ValueError(f"The page cannot be served at {host}, port {port} ({error.strerror}): {remedy}.") from error


def reach_of(host: str) -> str:
    """Who can use the page, in a sentence."""
    if host in _LOCAL:
        return "Only users of this machine can reach it."
    return "It has no password: everybody who can reach this machine can use it."


@contextmanager
def own_folder(host: str) -> Iterator[Path]:
    """A folder for uploads and answers that only this user reads, and Gradio told to use it and to stay offline.

    To be entered before Gradio is imported, which reads these variables.
    """
    with tempfile.TemporaryDirectory(prefix="tfovss-app-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        os.environ |= {"GRADIO_TEMP_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False"}
        known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        direct = ",".join(filter(None, [known, *_LOCAL, host]))  # Gradio calls its own server, which no proxy reaches
        os.environ |= {"no_proxy": direct, "NO_PROXY": direct}
        yield folder


def serve(
    playground: Playground,
    chosen: Sequence[str],
    folder: Path,
    host: str,
    port: int,
    say: Callable[[str], object],
    stop: Stop,
) -> None:
    """Serve the page until Ctrl-C, or until the process is told to end.

    Args:
        playground: answers.
        chosen: methods whose boxes are ticked at the start.
        folder: of :func:`own_folder`.
        host: address to listen on.
        port: likewise.
        say: is told the page's address.
        stop: whether that has happened.

    Raises:
        KeyboardInterrupt: it happened before the page was there.
    """
    page = open_page(playground, chosen, folder, host, port)
    try:
        stop.check()
        say(f"Open {page.local_url.rstrip('/')} in a browser. {reach_of(host)} Ctrl-C stops the page.")
        _wait(stop)
        say("Stopped.")
    finally:
        page.close(verbose=False)


def _wait(stop: Stop) -> None:
    """Until the process is told to end."""
    with suppress(KeyboardInterrupt):
        while not stop.asked:
            time.sleep(_A_WHILE)


def open_page(playground: Playground, chosen: Sequence[str], folder: Path, host: str, port: int) -> Any:  # noqa: ANN401
    """Build the page and start its server, in a thread; returns Gradio's page."""
    from mmseg_tfovss.playground.page import STYLE, build_page, new_theme

    scenes = folder / "scenes"
    scenes.mkdir()
    page = build_page(playground, chosen, draw_scenes(scenes), folder)
    page.queue(max_size=32)
    page.launch(
        server_name=f"[{host}]" if ":" in host else host,
        server_port=port,
        theme=new_theme(),
        css=STYLE,
        footer_links=["settings"],
        max_file_size=LARGEST_FILE,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        enable_monitoring=False,
        pwa=False,
    )
    return page
