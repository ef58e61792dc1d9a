"""Processes that begin with one run in the same instant: one owns it, and the others are told or join."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import ups
from held import read_held
from ups.errors import InvalidValue
from ups.journal import liveness
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, write_status
from ups.tracking.supervisor import Supervisor

PROCESSES = 4
ROUNDS = 12  # runs that the processes fall upon, one after another

# Keeps what it got until its input ends, so that the owner of each run lives while the others ask for it.
CONTENDER = """
import sys, time, ups
call, rounds, contexts = sys.argv[1], int(sys.argv[2]), []
print("ready", flush=True)
first = float(sys.stdin.readline())
for number in range(rounds):
    while time.time() < first + 0.05 * number:
        pass
    try:
        contexts.append(eval(call, {"ups": ups, "id": f"r{number}"}))
        contexts[-1].stage("a").log(0, loss=1.0)
    except ups.errors.UPSError as error:
        print(error)
print("done", flush=True)
sys.stdin.read()
for context in contexts:
    context.finish()
"""

CREATE = "ups.create_wandb_context({}, id, mode='local')"
RESUME = "ups.create_wandb_context({}, id, mode='local', resume=True)"
JOIN = "ups.join_wandb_context('ups-runs/' + id)"


def contend(call: str) -> list[str]:
    """Have the processes make ``call`` for each run at the same instants. Returns what the losers were told."""
    command = [sys.executable, "-c", CONTENDER, call, str(ROUNDS)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    processes: list[Any] = [subprocess.Popen(command, text=True, **pipes) for _ in range(PROCESSES)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    first = time.time() + 0.2
    for process in processes:
        process.stdin.write(f"{first}\n")
        process.stdin.flush()
    told = [line for process in processes for line in iter(process.stdout.readline, "done\n")]
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode == 0
    return told


def owners(number: int) -> list[bool]:
    """Of each process that began with a run, in its order of beginning: whether it owns the run."""
    journals = Path(f"ups-runs/r{number}/journal").glob("*.jsonl")
    begins = [json.loads(journal.read_text().partition("\n")[0])["begin"] for journal in journals]
    return [begin["owner"] for begin in sorted(begins, key=lambda begin: begin["nth"])]


@pytest.mark.parametrize("call", [CREATE, RESUME])
def test_of_those_that_create_a_run_at_once_one_has_it(call: str) -> None:
    """One process owns the run; each other one is told that it is there, and how to join it."""
    told = contend(call)
    for number in range(ROUNDS):
        assert owners(number) == [True]
    assert len(told) == ROUNDS * (PROCESSES - 1)
    assert all("join_wandb_context(" in line for line in told)


def test_of_those_that_resume_a_run_at_once_one_has_it() -> None:
    """One process goes on with the run; each other one is told which process that is, and what to do."""
    for number in range(ROUNDS):
        ups.create_wandb_context({}, f"r{number}", mode="local").finish()
    told = contend(RESUME)
    for number in range(ROUNDS):
        first, *others = owners(number)
        assert first
        assert others == [True]
    assert len(told) == ROUNDS * (PROCESSES - 1)
    assert all("is being trained by another process (" in line and "join_wandb_context(" in line for line in told)


def test_of_those_that_join_a_dead_run_at_once_one_owns_it() -> None:
    """All join; the end of one of them is the run's, and only one delivers."""
    for number in range(ROUNDS):
        ups.create_wandb_context({}, f"r{number}", mode="local").finish()
    assert contend(JOIN) == []
    for number in range(ROUNDS):
        _, *joined = owners(number)
        assert joined == [True] + [False] * (PROCESSES - 1)


def test_a_forked_child_does_not_hold_what_its_parent_held(tmp_path: Path) -> None:
    """A process that has ended or let go is seen to have, though a child that it forked lives on."""
    assert liveness.hold(tmp_path / "mark")
    there, tell = os.pipe()
    until, end = os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        os.write(tell, b".")
        os.read(until, 1)
        os._exit(0)
    os.read(there, 1)
    liveness.release(tmp_path / "mark")
    assert not liveness.is_held(tmp_path / "mark")
    os.close(end)
    os.waitpid(child, 0)
    for descriptor in (there, tell, until):
        os.close(descriptor)


def test_a_delivery_that_finished_before_its_trainer_did_has_not_delivered() -> None:
    """A delivery that took its trainer for dead says that it has finished; rows wait in the journal."""
    with ups.create_wandb_context(mode="local") as ctx:
        ctx.stage("a").log(0, loss=1.0)
        directory = RunDirectory(ctx.dir)
        (process,) = directory.processes()
        write_status(directory, Status(state="finished", owner=process))
        watch = Supervisor(directory, directory.mark_of(process), ctx.sink, None)
        assert not watch.is_delivered()
        taken = {"journal": process, "start": 0, "end": directory.journal_of(process).stat().st_size}
        (directory.delivery / "sequence.jsonl").write_text(json.dumps(taken) + "\n")
        assert watch.is_delivered()


def test_one_that_joins_a_dead_run_delivers_and_is_strict_as_it_asks() -> None:
    """``delivery`` and ``strict`` are those of the process that joins, whatever the run was begun with."""
    with ups.create_wandb_context(run_id="r", mode="local") as ctx:
        ctx.stage("a").log(0, loss=1.0)
    description = ctx.dir / "run.json"
    description.write_text(description.read_text().replace('"local"', '"offline"'))
    with ups.join_wandb_context(ctx.dir, delivery="thread", strict=True) as joined:
        assert "ups-delivery" in {thread.name for thread in threading.enumerate()}
        with pytest.raises(InvalidValue, match="'odd'"):
            joined.stage("a").log(1, loss=0.5, odd="x")
    assert read_held(ctx.dir).stage("a") == [(0, 1), (1, 0.5)]
