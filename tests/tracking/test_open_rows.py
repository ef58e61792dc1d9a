"""Rows that a framework's loop logs again at one step: W&B holds one row a step with the last values, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import ups
from held import read_held
from printed_steps import read_rest, read_until
from ups.journal.ledger import spans_of
from ups.journal.run_directory import RunDirectory
from ups.journal.status import read_status
from ups.repair.missing_rows import journaled_rows
from ups.runs.journal_source import JournalSource
from waiting import wait_for

# Gives each step's loss four times, and prints the step when the last call has returned.
TRAINER = """
import pathlib, sys, time, ups
first = int(sys.argv[1])
ctx = ups.create_wandb_context({}, run_id="open", mode="offline", resume=True)
for step in range(first, 100_000):
    for micro in range(4):
        ctx.log_open_row("train", {"loss": step + micro / 10}, step)
    if step % 5 == 0:
        ctx.log_open_row("val", {"loss": float(step)}, step // 5)
    sys.stdout.write(f"{step}\\n")
    sys.stdout.flush()
    time.sleep(0.002)
    if pathlib.Path("enough").exists():
        break
ctx.finish()
"""


@pytest.fixture
def trainers() -> Iterator[list[subprocess.Popen[str]]]:
    """The trainings that a test began, which are killed with it."""
    begun: list[subprocess.Popen[str]] = []
    yield begun
    for process in begun:
        process.kill()
        process.wait()


def begin(trainers: list[subprocess.Popen[str]], first: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TRAINER, str(first)]
    trainers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    return trainers[-1]


def directory() -> RunDirectory:
    return RunDirectory(Path.cwd() / "ups-runs" / "open")


def is_finished() -> bool:
    status = read_status(directory())
    return status is not None and status.state == "finished" and not directory().delivery_is_running()


def assert_whole(last: int) -> None:
    """W&B holds each step once, with the last value of the four; and all who read the journals agree on the rows."""
    held = read_held(directory().path)
    train = held.stage("train")
    assert [x for x, _ in train] == list(range(len(train)))
    assert len(train) >= last + 1
    assert [y for _, y in train[: last + 1]] == [step + 0.3 for step in range(last + 1)]
    val = held.stage("val")
    assert [x for x, _ in val] == list(range(len(val)))
    assert len(val) >= last // 5 + 1
    numbers = [row["_step"] for row in held.rows]
    assert all(low < high for low, high in pairwise(numbers))
    assert JournalSource(directory()).read_all().rows == len(held.rows)
    keys = [("training/train/step", "training/train/loss"), ("training/val/step", "training/val/loss")]
    given = [[row.values.get(name) for pair in keys for name in pair] for row in journaled_rows(directory().path)]
    assert given == [[row.get(name) for pair in keys for name in pair] for row in held.rows]


def test_a_killed_trainer_leaves_the_last_value_of_its_last_step(trainers: list[subprocess.Popen[str]]) -> None:
    """Nothing settles its newest rows but its being gone: delivery gives them to W&B, and closes the run."""
    trainer = begin(trainers)
    last = read_until(trainer, 200)
    trainer.kill()
    last = read_rest(trainer, last)
    wait_for(is_finished)
    assert_whole(last)
    assert [span.settled for span in spans_of(directory())].count(True) == 1


def test_after_all_have_died_deliver_brings_every_row_once(trainers: list[subprocess.Popen[str]]) -> None:
    """``ups deliver`` goes through the same spans, numbers the same rows alike and settles what was left open."""
    trainer = begin(trainers)
    last = read_until(trainer, 200)
    status = wait_for(lambda: (now := read_status(directory())) is not None and now.rows > 50 and now)
    trainer.send_signal(signal.SIGSTOP)  # or it starts another
    os.kill(status.pid, signal.SIGKILL)
    trainer.kill()
    last = read_rest(trainer, last)
    for _ in range(2):
        deliver = [sys.executable, "-m", "ups", "deliver", str(directory().path)]
        done = subprocess.run(deliver, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert_whole(last)


def test_a_resumed_training_goes_on_behind_what_was_left_open(trainers: list[subprocess.Popen[str]]) -> None:
    """The rows of a process that was killed come before those of the one that goes on with the run."""
    trainer = begin(trainers)
    last = read_until(trainer, 100)
    trainer.kill()
    last = read_rest(trainer, last)
    again = begin(trainers, last + 1)
    read_until(again, last + 100)
    Path("enough").touch()
    last = read_rest(again, last + 100)
    wait_for(is_finished)
    assert_whole(last)


def test_flush_brings_the_newest_row() -> None:
    """While the training goes on, the newest step waits for its next value, unless it is settled."""
    with ups.create_wandb_context({}, run_id="open", mode="offline") as ctx:
        for step in range(3):
            ctx.log_open_row("train", {"loss": float(step)}, step)
        wait_for(lambda: (now := read_status(directory())) is not None and now.rows == 2)
        ctx.flush()
        wait_for(lambda: (now := read_status(directory())) is not None and now.rows == 3)
        ctx.log_open_row("train", {"loss": 9.0}, 2)  # behind the flush: the value that was given stands
    assert read_held(directory().path).stage("train") == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_the_page_shows_what_a_process_left_open() -> None:
    """The newest row of one that lives waits there too; that of one that is gone is shown."""
    code = """
import os, ups
ctx = ups.create_wandb_context({}, run_id="open", mode="local")
for step in (0, 1, 1):
    ctx.log_open_row("train", {"loss": float(step)}, step)
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    source = JournalSource(directory())
    while source.advance(1.0):
        pass
    assert source.run.series("training/train/loss").x.tolist() == [0.0, 1.0]
