"""Many at once: threads, processes, and forks in the middle of them."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import joining
import ups
from held import read_held, stream_rows

Script = Callable[..., "subprocess.CompletedProcess[str]"]

PROCESSES, THREADS = 4, 8


def test_eight_threads_log_at_once() -> None:
    """Rows of eight threads, some at steps that another has passed, are all there, each thread's in order."""
    raised: list[BaseException] = []

    def log(number: int, stage: ups.Stage) -> None:
        try:
            for step in range(500):
                stage.log(step, {f"loss{number}": float(step)})
                if step % 50 == 0:
                    stage.log(step, {f"extra{number}/{step}": 1.0})
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must not be
            raised.append(error)

    with ups.create_wandb_context(mode="offline") as ctx:
        stage = ctx.stage("a")
        threads = [threading.Thread(target=log, args=(number, stage)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert raised == []
    held = read_held(ctx.dir)
    for number in range(8):
        assert [x for x, _ in held.stage("a", f"loss{number}")] == list(range(500))


@pytest.mark.parametrize("rows", [500, pytest.param(12_500, marks=[pytest.mark.soak, pytest.mark.timeout(0)])])
def test_threads_of_several_processes_log_at_once(rows: int) -> None:
    """Every row of four processes with eight threads each is held once, and each process's in its journal's order.

    The long form has 100,000 rows a process.
    """
    with ups.create_wandb_context({}, mode="offline") as ctx:
        start = multiprocessing.get_context("spawn")
        processes = [
            start.Process(target=joining.train_in_threads, args=(f"p{number}", THREADS, rows))
            for number in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * PROCESSES
    journaled = {}
    for journal in (ctx.dir / "journal").glob("*.jsonl"):
        records = [json.loads(line) for line in journal.read_text().splitlines()]
        logged = [(*record["values"].items(), record["step"]) for record in records if "values" in record]
        if logged:
            journaled[next(record["stage"] for record in records if "stage" in record)] = logged
    assert sorted(journaled) == [f"p{number}" for number in range(PROCESSES)]
    held: dict[str, list[object]] = {stage: [] for stage in journaled}
    for row in stream_rows(ctx.dir):
        (stage,) = {name.split("/")[1] for name in row if name.startswith("training/")}
        step = row.pop(f"training/{stage}/step")
        ((name, value),) = ((name, value) for name, value in row.items() if name.startswith("training/"))
        held[stage].append(((name.rpartition("/")[2], value), step))
    for stage, logged in journaled.items():
        assert held[stage] == logged
        counts = Counter(name for (name, _), _ in logged)
        assert counts == {f"loss{number}": rows for number in range(THREADS)}


FORKING = """
import os, sys, threading, time, ups
with ups.create_wandb_context({}, "r", mode="offline") as ctx:
    stage, go_on = ctx.stage("parent"), True

    def log(number):
        step = 0
        while go_on:
            stage.log(step, {f"loss{number}": 1.0})
            print("thread", number, step)
            step += 1
            time.sleep(0.001)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    children = []
    for number, ending in enumerate(["_exit", "exit", "block", "silent"] * 3):
        child = os.fork()
        if not child:
            if ending == "silent":
                os._exit(0)
            for step in range(20):
                ctx.stage(f"child{number}").log(step, loss=float(number))
            print("child", number)
            if ending == "block":
                break
            os._exit(0) if ending == "_exit" else sys.exit(0)
        children.append(child)
    else:
        codes = [os.waitpid(child, 0)[1] for child in children]
        go_on = False
        for thread in threads:
            thread.join()
        assert codes == [0] * len(children), codes
"""


def test_children_that_are_forked_among_busy_threads_log_on(script: Script) -> None:
    """A forked child logs through the context it inherited, however it ends; the run ends with the parent."""
    script(FORKING, timeout=150)
    held = read_held(Path("ups-runs/r"))
    for number in range(12):
        assert held.stage(f"child{number}") == ([] if number % 4 == 3 else [(step, number) for step in range(20)])
    for number in range(8):
        steps = [x for x, _ in held.stage("parent", f"loss{number}")]
        assert steps == list(range(len(steps)))
        assert steps
    assert held.exit_codes == [0]
