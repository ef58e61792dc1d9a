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
    say: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard until Ctrl-C.

    Args:
        paths: Runs, and folders of runs.
        host: What to listen on; where others can reach it they need a token, which stands in the address that is said.
        port: Where to listen: 0 for any free port; None for the first free one from :data:`DEFAULT_PORT` on.
        open_browser: Whether to open the address in a browser.
        say: Told the address, and what the person should know.

    Raises:
        UsageError: A path is no run and no folder, or nothing can listen there.
    """
    for path in paths:
        check_path(path)
    listening = _listen(host, port)
    token, address = secrets.token_urlsafe(16), _address(host, listening.getsockname()[1])
    alone = is_loopback(host)
    with_token = f"{address}?token={token}"
    say(f"The dashboard is at {address if alone else with_token} (Ctrl-C ends it)")
    refused = False

    def on_stranger() -> None:
        nonlocal refused
        if not refused:  # said once: others may ask as often as they like
            refused = True
            say(f"A browser was refused: it does not run as you on this machine. If it is yours, open {with_token}")

    run_index = RunIndex(paths)
    app = create_app(run_index, host=host, token=token, on_stranger=on_stranger)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        proxy_headers=False,  # they would say who asks
        limit_concurrency=MOST_ACTIVE,
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=10,
        lifespan="on",
    )
    server = uvicorn.Server(config)

    async def lose_patience() -> None:
        patience = Patience()
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            patience.look(cast("set[Connection]", server.server_state.connections), time.monotonic())

    async def run() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        looking = asyncio.create_task(lose_patience())
        opening, told = not open_browser, False
        while not serving.done():
            await asyncio.sleep(_LOOK_EVERY)
            if server.started and not opening:
                opening = True
                if not await asyncio.to_thread(_open, address if alone else f"{address}?{OWN}"):
                    say("No browser could be opened here: open the address yourself")
            if server.started and not told:
                told = True
                if await run_index.is_empty():
                    where = ", ".join(str(path) for path in run_index.paths)
                    say(f"No run below {where} yet: one appears on the page as soon as its training starts")
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
    """A socket that listens.

    Raises:
        UsageError: The port is taken, or there is no such address on this machine.
    """
    ports = [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED), 0]
    try:
        family = socket.getaddrinfo(host, ports[0], type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise UsageError(f"there is no address {host!r}: {error.strerror}") from error
    for wanted in ports:
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, wanted))
            listening.listen(128)
        except PermissionError as error:
            listening.close()
            raise UsageError(f"port {wanted} is not for everyone: choose one above 1023, as in --port 8877") from error
        except OSError as error:
            listening.close()
            if port is not None and port != 0:
                raise UsageError(
                    f"port {port} cannot be used: {error.strerror}. Leave out --port for a free one"
                ) from error
            if wanted == 0:
                raise UsageError(f"nothing can listen on {host}: {error.strerror}") from error
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
