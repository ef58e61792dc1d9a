"""Other users of the machine, and clients that keep connections open for nothing."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

import ups.dashboard.peers
from dashboard.server import PATIENCE, eventually, show
from ups.dashboard.connections import Connection, Patience, make_room
from ups.dashboard.peers import Peer
from waiting import wait_for

NOBODY = 65534
ASK = """
import os, socket, sys
os.setgroups([]), os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))
for port, path in zip(sys.argv[2::2], sys.argv[3::2]):
    with socket.socket() as client:  # and no import from a folder of the one user, as create_connection needs
        client.connect(("127.0.0.1", int(port)))
        headers = "Host: localhost\\r\\nX-Forwarded-For: 127.0.0.1\\r\\nConnection: close"
        client.sendall(f"GET {path} HTTP/1.1\\r\\n{headers}\\r\\n\\r\\n".encode())
        print(client.recv(1000)[9:12].decode(), flush=True)
"""
as_another = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def ask_as(user: int, *addresses: str) -> list[int]:
    """The statuses of the answers that another user of this machine gets."""
    arguments = [part for each in map(urlsplit, addresses) for part in (str(each.port), f"{each.path}?{each.query}")]
    command = [sys.executable, "-c", ASK, str(user), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.split()]


@as_another
def test_another_user_of_this_machine_needs_the_token(tmp_path: Path) -> None:
    """On the loopback address, another user gets no answer until he has the token, which is said once."""
    with show(tmp_path) as shown:
        address = shown.address
        asked = [f"{address}/", f"{address}/api/runs", f"{address}/?own", f"{address}/?token=a"]
        assert ask_as(NOBODY, *asked) == [403] * 4
        assert shown.runs() == []  # the user's own process
        assert shown.process.stdout is not None
        said = [shown.process.stdout.readline() for _ in range(2)]
        (link,) = re.findall(r"http://\S+token=\S+", "".join(said))
        assert ask_as(NOBODY, link) == [303]


def test_not_even_root_is_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket of another user is none of one's own, whoever that is."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        ends = client.getsockname(), client.getpeername()
        assert Peer(*ends).is_own
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
        assert not Peer(*ends).is_own
    assert not Peer(None, None).is_own


def test_no_token_is_on_a_command_line(tmp_path: Path) -> None:
    """The browser that ``--host`` opens gets an address without a token; it lets the user's own browser in, alone."""
    note, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{note}.new" && mv "{note}.new" "{note}"\n')
    browser.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "ups", "show", "--host", "0.0.0.0", "--port", "0", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "BROWSER": str(browser)},
    )
    try:
        assert process.stdout is not None
        token = process.stdout.readline().split()[4].partition("?token=")[2]
        assert len(token) > 20
        wait_for(lambda: note.exists() or process.poll() is not None)
        opened = note.read_text()
        assert token not in opened
        address = re.sub("//[^:]+:", "//127.0.0.1:", opened)  # the machine's name may lead nowhere here
        with httpx.Client(timeout=PATIENCE, follow_redirects=True) as client:
            assert client.get(address.replace("?own", "api/runs")).status_code == 403
            assert client.get(address).status_code == 200
            assert client.get(address.replace("?own", "api/runs")).status_code == 200
        if os.geteuid() == 0:
            assert ask_as(NOBODY, address) == [403]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("family", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("look", [ups.dashboard.peers._in_kernel_table, ups.dashboard.peers._among_own_processes])
def test_both_looks_find_the_user_s_own_socket(family: str, look: Callable[..., bool]) -> None:
    """Linux's table, and the processes where there is none, have the two ends of a connection, and no other."""
    if look is ups.dashboard.peers._in_kernel_table and not Path("/proc/net/tcp").exists():
        pytest.skip("this system has no table of sockets")
    kind = socket.AF_INET if family == "127.0.0.1" else socket.AF_INET6
    with socket.socket(kind) as listening:
        if family.startswith("::f"):
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listening.bind(("::" if family.startswith("::f") else family, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        listening.listen()
        with socket.create_connection((family, listening.getsockname()[1])) as client:
            server, _ = listening.accept()
            with server:
                ends = client.getsockname()[:2], server.getsockname()[:2]
                assert look(*ends)
                assert not look((ends[0][0], 1), ends[1])
                assert not look(ends[0], (ends[1][0], 1))


class Transport:
    """The transport of a connection, as far as patience looks at it."""

    def __init__(self, unsent: int = 0) -> None:
        self.unsent = unsent
        self.ended = ""

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Cycle:
    """A request and its answer."""

    def __init__(self, *, complete: bool) -> None:
        self.response_complete = complete


def connection(cycle: Cycle | None, unsent: int = 0) -> Connection:
    """A connection in a state."""
    made = object.__new__(Connection)
    made.cycle, made.transport = cycle, Transport(unsent)  # type: ignore[assignment]
    return made


def test_patience_ends() -> None:
    """Who asks for nothing is closed after 20 s, who takes nothing after 60 s; who listens, or takes some, stays."""
    silent, answered = connection(None), connection(Cycle(complete=True))
    listens, stuck, slow = (connection(Cycle(complete=False), unsent) for unsent in (0, 9000, 9000))
    busy = connection(Cycle(complete=True))
    patience = Patience()
    for now in range(0, 100, 5):
        slow.transport.unsent -= 1  # type: ignore[attr-defined]
        busy.cycle = Cycle(complete=True)  # type: ignore[assignment]  # between two looks it had another answer
        patience.look([silent, answered, listens, stuck, slow, busy], now)
        ends = [each.transport.ended for each in (silent, answered, listens, stuck, slow, busy)]  # type: ignore[attr-defined]
        late, later = "closed" if now > 20 else "", "aborted" if now > 60 else ""
        assert ends == [late, late, "", later, "", ""], now


def test_room_is_made_for_the_newest() -> None:
    """With more connections than a server should have, those that wait longest for a request go at once."""
    listening = [connection(Cycle(complete=True)) for _ in range(200)]
    early, late = ([connection(None) for _ in range(40)] for _ in range(2))
    for opened, each in enumerate([*listening, *early, *late]):
        each.opened = opened
    connections = {*late, *early, *listening}
    make_room(connections)
    ended = [bool(each.transport.ended) for each in (*listening, *early, *late)]  # type: ignore[attr-defined]
    assert ended == [False] * 200 + [True] * 30 + [False] * 50
    assert connections == {*listening, *early[30:], *late}  # a request that comes in the same burst is not refused


def test_connections_that_ask_for_nothing_are_closed(tmp_path: Path) -> None:
    """Many open connections, silent or with half a request, do not keep a browser out, and are closed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with show(tmp_path) as shown, contextlib.ExitStack() as stack:
            port = int(shown.address.rpartition(":")[2])
            opened = []
            for number in range(900):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
                if number % 2:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
                opened.append(client)
            began = time.monotonic()
            assert shown.runs() == []
            assert time.monotonic() - began < 10
            half = opened[-1]
            half.settimeout(1)

            def ended() -> bool:
                try:
                    half.sendall(b"x")  # more of the request, slowly, makes it no younger
                    return half.recv(10) == b""
                except TimeoutError:
                    return False
                except OSError:  # reset
                    return True

            eventually(ended, bool)
            assert shown.runs() == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
