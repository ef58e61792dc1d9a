"""Trainings that are broken off: by Ctrl-C, once and again, by an exit that nobody can hold up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from held import read_held
from waiting import wait_for
from wandb_server import Fault, WandBServer

Script = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[[str, dict[str, str]], "subprocess.Popen[str]"]

WITH = "with ups.create_wandb_context({}, 'r', project='p') as ctx:"
PLAIN = "ctx = ups.create_wandb_context({}, 'r', project='p')\nif True:"

ENDLESS = """
import time, ups
%s
    for step in range(1_000_000):
        ctx.stage("a").log(step, loss=1.0)
        time.sleep(0.002)
"""


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts an endless training with a process group of its own, as a terminal does, and waits for 100 rows."""
    started = []

    def run(opening: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", ENDLESS % opening],
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        wait_for(lambda: journal().count('"values"') > 100 or process.poll() is not None)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def ctrl_c(process: subprocess.Popen[str]) -> None:
    """Interrupt the training's process group, as a terminal does."""
    os.killpg(process.pid, signal.SIGINT)


def journal() -> str:
    return "".join(path.read_text() for path in Path("ups-runs/r/journal").glob("*.jsonl"))


def finished() -> bool:
    """Whether delivery says that W&B holds every row."""
    status = Path("ups-runs/r/delivery/status.json")
    return status.exists() and json.loads(status.read_text())["state"] == "finished"


@pytest.mark.parametrize("opening", [WITH, PLAIN], ids=["with", "plain"])
def test_ctrl_c_ends_the_run_with_every_row(opening: str, start: Start) -> None:
    """One Ctrl-C: the training ends, W&B holds every row, and the run was interrupted (exit code 130)."""
    process = start(opening, {"WANDB_MODE": "offline"})
    ctrl_c(process)
    _, told = process.communicate(timeout=300)
    held = read_held(Path("ups-runs/r"))
    assert [x for x, _ in held.stage("a")] == list(range(journal().count('"values"')))
    assert held.exit_codes == [130]
    assert "1 of 1 charts full" in told
    assert "KeyboardInterrupt" in told


@pytest.mark.parametrize("opening", [WITH, PLAIN], ids=["with", "plain"])
def test_ctrl_c_again_stops_waiting_and_loses_nothing(
    opening: str, start: Start, wandb_server: WandBServer, tmp_path: Path
) -> None:
    """A second Ctrl-C ends the wait for a server that hangs, says what is left, and delivery goes on without."""
    with wandb_server.faulty(Fault(hang=True, match="file_stream")):
        process = start(opening, wandb_server.environment(tmp_path) | {"WANDB_DIR": "."})
        ctrl_c(process)
        wait_for(lambda: '"end"' in journal())
        wait_for(lambda: not any(file.path.endswith(".jsonl") for file in psutil.Process(process.pid).open_files()))
        time.sleep(0.5)
        assert process.poll() is None
        ctrl_c(process)
        _, told = process.communicate(timeout=300)
    assert "Delivery continues in the background" in told
    assert f"ups deliver {Path('ups-runs/r').absolute()}" in told
    assert "atexit" not in told
    wait_for(finished)
    run = wandb_server.run("r")
    assert run.exit_code == 130
    assert [row["training/a/step"] for row in run.history] == list(range(journal().count('"values"')))


def test_a_process_that_ends_at_once_leaves_a_failed_run_with_every_row(script: Script) -> None:
    """``os._exit`` runs nothing that could finish the run: delivery closes it as failed, with every row."""
    script(
        """
import os, ups
ctx = ups.create_wandb_context({}, "r", mode="offline")
for step in range(300):
    ctx.stage("a").log(step, loss=1.0)
os._exit(0)
"""
    )
    wait_for(finished)
    held = read_held(Path("ups-runs/r"))
    assert [x for x, _ in held.stage("a")] == list(range(300))
    assert held.exit_codes == [1]
