"""A server on a port of this machine, until Ctrl-C."""

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import uvicorn

from ups.dashboard.app import create_app
from ups.dashboard.connections import MOST_ACTIVE, Connection, Patience
from ups.dashboard.run_index import RunIndex
from ups.dashboard.security import OWN, is_loopback
from ups.errors import UsageError
from ups.runs.discovery import check_path

__all__ = ["DEFAULT_PORT", "serve"]

DEFAULT_PORT = 8877  # UPS on the keys of a telephone
_PORTS_TRIED = 20
_LOOK_EVERY = 0.05  # seconds
_TURN = 0.001  # seconds that a thread which reads a run may keep a browser waiting


def serve(
    paths: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    notify: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard until Ctrl-C.

    Args:
        paths: Runs, and folders of runs.
        host: The address to listen on. Where other machines can reach it, a browser needs the token in the address.
        port: The port: 0 for any free one; None for the first free one from :data:`DEFAULT_PORT` on.
        open_browser: True to open the address in a browser.
        notify: Called with each line for the person: the address, and what else matters.

    Raises:
        UsageError: A path is neither a run nor a folder, or the address cannot be used.
    """
    for path in paths:
        check_path(path)
    listening = _listen(host, port)
    token, address = secrets.token_urlsafe(16), _address(host, listening.getsockname()[1])
    alone = is_loopback(host)
    with_token = f"{address}?token={token}"
    notify(f"The dashboard is at {address if alone else with_token} (Ctrl-C ends it)")
    refused = False

    def on_stranger() -> None:
        nonlocal refused
        if not refused:  # once: others may ask as often as they like
            refused = True
            notify(f"A browser was refused: it does not run as you on this machine. If it is yours, open {with_token}")

    run_index = RunIndex(paths)
    app = create_app(run_index, host=host, token=token, on_stranger=on_stranger)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        proxy_headers=False,  # they could name another client
        limit_concurrency=MOST_ACTIVE,
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=10,
        lifespan="on",
    )
    server = uvicorn.Server(config)

    async def close_idle() -> None:
        patience = Patience()
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            patience.look(cast("set[Connection]", server.server_state.connections), time.monotonic())

    async def run() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        looking = asyncio.create_task(close_idle())
        opening, reported = not open_browser, False
        while not serving.done():
            await asyncio.sleep(_LOOK_EVERY)
            if server.started and not opening:
                opening = True
                if not await asyncio.to_thread(_open, address if alone else f"{address}?{OWN}"):
                    notify("No browser could be opened: open the address yourself")
            if server.started and not reported:
                reported = True
                if await run_index.is_empty():
                    where = ", ".join(str(path) for path in run_index.paths)
                    notify(f"No run is below {where} yet: the page shows a run as soon as its training starts")
            if server.should_exit:
                run_index.end_streams()
        looking.cancel()
        await serving

    sys.setswitchinterval(_TURN)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run())
    finally:
        listening.close()


def _listen(host: str, port: int | None) -> socket.socket:
    """Make a socket that listens.

    Raises:
        UsageError: The port is taken, or the machine has no such address.
    """
    ports = [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED), 0]
    try:
        family = socket.getaddrinfo(host, ports[0], type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise UsageError(
            f"there is no address {host!r}: {error.strerror}; choose one of this machine with --host"
        ) from error
    for wanted in ports:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, wanted))
            listening.listen(128)
        except PermissionError as error:
            listening.close()
            raise UsageError(f"port {wanted} needs root; choose one above 1023 with --port") from error
        except OSError as error:
            listening.close()
            if port is not None and port != 0:
                raise UsageError(
                    f"port {port} cannot be used: {error.strerror}; leave out --port to use a free one"
                ) from error
            if wanted == 0:
                raise UsageError(
                    f"{host} cannot be used: {error.strerror}; choose an address of this machine with --host"
                ) from error
        else:
            return listening
    raise AssertionError


def _address(host: str, port: int) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/"


def _open(address: str) -> bool:
    """Open the address in a browser with windows; False where there is none."""
    if sys.platform != "darwin" and not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        return False
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
