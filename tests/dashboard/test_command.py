"""``ups show`` as it is called: one clear line for each thing that can be wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dashboard.server import PATIENCE, Events, show, ups_show
from runfile.real_runs import wandb_file
from waiting import wait_for


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "70000"), "--port 70000 is not a port; give a number from 0 to 65535"),
        (("--port", "http"), "--port http is not a port"),
        (("nowhere",), "nowhere does not exist: name a run, or a folder with runs below it"),
        (("note.txt",), "note.txt is not a run"),
        (("--host", "192.0.2.1"), "192.0.2.1 cannot be used"),
    ],
)
def test_what_cannot_work_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    """A wrong port, path or address ends it with status 2 and one line that says what to do."""
    Path("note.txt").write_text("a note")
    done = ups_show("--no-open", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_port_in_use() -> None:
    """A port that was asked for and is taken is an error; the default one gives way to the next."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ups_show("--no-open", "--port", str(port))
        assert done.returncode == 2
        assert f"port {port} cannot be used" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    with show(".", options=()) as one, show(".", options=()) as other:
        assert one.address != other.address


def test_no_browser() -> None:
    """Without a browser it says so in one line, with the address, and goes on serving."""
    env = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    process = subprocess.Popen(
        [sys.executable, "-m", "ups", "show", "--port", "0"], stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout is not None
    lines: list[str] = []
    while "No run is below" not in (line := process.stdout.readline()):
        assert line, "it ended"
        lines.append(line)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    process.stdout.close()
    assert "http://127.0.0.1:" in lines[0]
    assert sum("No browser" in line for line in lines) == (1 if sys.platform == "linux" else 0)


def test_the_browser_is_opened_at_the_address(tmp_path: Path) -> None:
    """The browser that is set gets the address, token and all."""
    note = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{note}.new" && mv "{note}.new" "{note}"\n')
    browser.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "ups", "show", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "BROWSER": str(browser)},
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[4]
    wait_for(lambda: note.exists() or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    process.stdout.close()
    assert note.read_text() == address


def test_ctrl_c_ends_it_while_browsers_listen() -> None:
    """Ctrl-C ends the server at once though streams are open, with status 0 and nothing on stderr."""
    with show(wandb_file("staged")) as shown:
        key = shown.runs()[0]["key"]
        listening = [Events(shown, "/api/events"), Events(shown, f"/api/runs/{key}/events?view=wandb")]
        assert not any(events.ended for events in listening)
