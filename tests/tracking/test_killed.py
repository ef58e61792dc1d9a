"""Processes that die: what W&B holds afterwards is every row whose ``log()`` had returned, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from held import read_held
from printed_steps import read_rest, read_until
from ups.journal import liveness
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status
from ups.runs import open_run
from waiting import wait_for

TRAINER = """
import pathlib, sys, time, ups
ctx = ups.create_wandb_context({}, run_id="killed", mode="offline")
stage = ctx.stage("operator")
for step in range(100_000):
    stage.log(step, loss=1 / (step + 1))
    sys.stdout.write(f"{step}\\n")
    sys.stdout.flush()
    time.sleep(0.001)
    if pathlib.Path("enough").exists():
        break
ctx.finish()
"""


@pytest.fixture
def trainer() -> Iterator[subprocess.Popen[str]]:
    """A training that logs a row a millisecond until :func:`end`, and prints each step after ``log()`` has returned."""
    process = subprocess.Popen([sys.executable, "-c", TRAINER], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def directory() -> RunDirectory:
    return RunDirectory(Path.cwd() / "ups-runs" / "killed")


def end(process: subprocess.Popen[str]) -> int:
    """Have the trainer finish. Returns how many rows it has logged."""
    Path("enough").touch()
    last = read_rest(process, -1)
    assert process.wait() == 0
    return last + 1


def told() -> Status | None:
    return read_status(directory())


def delivering() -> Status | None:
    status = told()
    return status if status is not None and status.state == "delivering" and status.rows > 50 else None


def finished() -> bool:
    status = read_status(directory())
    return status is not None and status.state == "finished" and not directory().delivery_is_running()


def steps() -> list[int]:
    return [x for x, _ in read_held(directory().path).stage("operator")]


def deliver() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ups", "deliver", str(directory().path)], capture_output=True, text=True, check=False
    )


def test_a_killed_trainer_leaves_a_delivered_and_failed_run(trainer: subprocess.Popen[str]) -> None:
    """Delivery sees that the trainer is gone, delivers what was journaled, and closes the run as failed."""
    last = read_until(trainer, 300)
    trainer.kill()
    last = read_rest(trainer, last)
    wait_for(finished, otherwise=told)
    held = read_held(directory().path)
    got = [x for x, _ in held.stage("operator")]
    assert got == list(range(len(got)))
    assert len(got) >= last + 1
    assert held.exit_codes == [1]


def test_a_killed_delivery_is_started_again_by_the_trainer(trainer: subprocess.Popen[str]) -> None:
    """The trainer starts a fresh delivery, which goes on where W&B's file stands: every row once."""
    read_until(trainer, 100)
    status = wait_for(delivering, otherwise=told)
    os.kill(status.pid, signal.SIGKILL)
    rows = end(trainer)
    assert steps() == list(range(rows))
    assert read_held(directory().path).exit_codes == [0]
    assert open_run(directory().path).last_step == rows - 1


def test_a_killed_wandb_core_costs_nothing(trainer: subprocess.Popen[str]) -> None:
    """When wandb's backend dies, delivery opens one more session from the journal: every row once."""
    read_until(trainer, 100)
    status = wait_for(delivering, otherwise=told)
    core = next(p for p in psutil.Process(status.pid).children(recursive=True) if p.name() == "wandb-core")
    core.kill()
    again = wait_for(lambda: (now := delivering()) is not None and now.backend != status.backend and now)
    (backend,) = again.backend
    assert backend[0] != core.pid
    time.sleep(1)  # time in which the dead one could be missed
    rows = end(trainer)
    assert steps() == list(range(rows))
    last = read_status(directory())
    assert last is not None
    assert last.faults["session"]["count"] == 1


def test_after_all_have_died_deliver_brings_every_row_once(trainer: subprocess.Popen[str]) -> None:
    """``ups deliver`` finishes what a killed trainer and a killed delivery left behind."""
    last = read_until(trainer, 200)
    status = wait_for(delivering, otherwise=told)
    trainer.send_signal(signal.SIGSTOP)  # or it starts another
    os.kill(status.pid, signal.SIGKILL)
    trainer.kill()
    last = read_rest(trainer, last)
    done = deliver()
    assert done.returncode == 0, done.stderr
    got = steps()
    assert got == list(range(len(got)))
    assert len(got) >= last + 1
    assert "W&B's files hold all" in done.stdout
    again = deliver()
    assert again.returncode == 0, again.stderr
    assert steps() == got


def test_two_deliveries_of_one_run_do_not_meet(trainer: subprocess.Popen[str]) -> None:
    """While a delivery runs, ``ups deliver`` says so and changes nothing."""
    read_until(trainer, 100)
    wait_for(delivering, otherwise=told)
    done = deliver()
    assert done.returncode == 1
    assert "being delivered by another process" in done.stderr
    assert liveness.is_held(directory().delivery / "running")


def test_a_torn_segment_does_not_stop_wandb_sync(trainer: subprocess.Popen[str]) -> None:
    """Every segment that recovery leaves behind ends with a whole record."""
    read_until(trainer, 300)
    status = wait_for(delivering, otherwise=told)
    delivery = psutil.Process(status.pid)
    trainer.send_signal(signal.SIGSTOP)  # or it starts another; and once it is gone, delivery closes the run
    dying = [*delivery.children(recursive=True), delivery]
    for process in dying:
        process.kill()
    trainer.kill()
    psutil.wait_procs(dying, timeout=10)
    segment = directory().segments()[0]
    segment.write_bytes(segment.read_bytes()[:-5])
    assert deliver().returncode == 0
    assert len(directory().segments()) == 2
    run = open_run(directory().path)
    assert [segment.torn for segment in run.segments] == [0, 0]
    assert not run.damage
    got = steps()
    assert got == list(range(len(got)))
