"""Signals, exits and copies: delivery outlives what ends a job, and a run ends as its training did."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from held import read_held
from ups.journal.run_directory import RunDirectory
from ups.journal.status import read_status
from waiting import wait_for

Script = Callable[..., "subprocess.CompletedProcess[str]"]

TRAINER = """
import sys, time, ups
ctx = ups.create_wandb_context({}, "r", mode="offline")
for step in range(1_000_000):
    ctx.stage("a").log(step, loss=1.0)
    print(step, flush=True)
    time.sleep(0.0005)
"""


def tree(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_every_process_of_a_job_loses_no_row(number: signal.Signals) -> None:
    """A scheduler ends trainer, delivery and wandb's process alike, and leaves a grace period: delivery uses it."""
    trainer = subprocess.Popen([sys.executable, "-c", TRAINER], stdout=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    logged = -1
    try:
        for line in trainer.stdout:
            logged = int(line)
            job = tree(psutil.Process(trainer.pid)) if logged % 500 == 0 else []
            if any("wandb-core" in process.name() for process in job):
                break
        for process in job:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        logged = max([logged, *map(int, trainer.stdout)])
        assert trainer.wait() == -number
    finally:
        trainer.kill()
        trainer.wait()
    directory = RunDirectory(Path("ups-runs/r").absolute())
    wait_for(lambda: (status := read_status(directory)) and status.state == "finished", 30)
    held = read_held(directory.path)
    assert len(held.stage("a")) in (logged + 1, logged + 2)  # the last may have been written and not printed
    assert held.exit_codes[-1] == 1


@pytest.mark.parametrize("installed", ["before", "after"])
def test_an_exit_from_a_signals_handler_is_the_runs_exit(script: Script, installed: str) -> None:
    """``raise SystemExit(143)`` in a handler, outside ``with``, closes the run with that code; handlers stay theirs."""
    handler = "def end(number, frame):\n    raise SystemExit(128 + number)\nsignal.signal(signal.SIGTERM, end)\n"
    script(
        "import os, signal, time, ups\n"
        + (handler if installed == "before" else "")
        + 'ctx = ups.create_wandb_context({}, "r", mode="offline")\n'
        + (handler if installed == "after" else "")
        + "assert signal.getsignal(signal.SIGTERM) is end\n"
        + "assert signal.signal(signal.SIGTERM, end) is end\n"
        + 'ctx.stage("a").log(0, loss=1.0)\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(10)\n',
        expect=143,
    )
    assert read_held(Path("ups-runs/r")).exit_codes == [143]


def test_a_handler_that_returns_leaves_the_run_as_it_ends(script: Script) -> None:
    """A handler that only takes note of a signal does not make the run a failed one."""
    script(
        """
import os, signal, ups
seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
ctx = ups.create_wandb_context({}, "r", mode="offline")
os.kill(os.getpid(), signal.SIGUSR1)
ctx.stage("a").log(0, loss=1.0)
assert seen == [signal.SIGUSR1]
"""
    )
    assert read_held(Path("ups-runs/r")).exit_codes == [0]


def copy_of_a_training(alive: bool, preserve: bool) -> Path:
    """A copy of a run's directory that was made while its training lived, or long after it was killed."""
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINER.replace('"offline"', '"local"')], stdout=subprocess.PIPE, text=True
    )
    assert trainer.stdout is not None
    try:
        for line in trainer.stdout:
            if int(line) == 500:
                break
        if not alive:
            trainer.kill()
            trainer.wait()
            (mark,) = Path("ups-runs/r/journal").glob("*.alive")
            os.utime(mark, (time.time() - 60, time.time() - 60))
        shutil.copytree("ups-runs/r", "copy/r", copy_function=shutil.copy2 if preserve else shutil.copy)
    finally:
        trainer.kill()
        trainer.wait()
    return Path("copy/r").absolute()


@pytest.mark.parametrize(
    ("alive", "preserve", "code"), [(True, True, 0), (True, False, 0), (False, True, 1)], ids=["live", "cp", "killed"]
)
def test_a_copy_of_a_run_ends_as_far_as_it_knows(alive: bool, preserve: bool, code: int) -> None:
    """A copy of a live run is no failed one, whatever its host is called; one of a killed run is."""
    copy = copy_of_a_training(alive, preserve)
    (journal,) = (copy / "journal").glob("*.jsonl")
    lines = journal.read_bytes()
    host = os.uname().nodename.encode()
    journal.write_bytes(lines.replace(b'"host":"' + host, b'"host":"' + b"x" * len(host), 1))
    command = [sys.executable, "-m", "ups", "deliver", str(copy), "--mode", "offline"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    held = read_held(copy)
    assert len(held.stage("a")) == lines.count(b"\n") - 1
    assert held.exit_codes == [code]
    assert ("copied while" in done.stderr) == alive
