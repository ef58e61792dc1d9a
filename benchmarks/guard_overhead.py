"""The time that a guard adds to ``run.log``: the same call on a run with a guard and on one without.

Both runs log offline in this process, in a tight loop, in alternating blocks, so that a noisy machine disturbs both
alike. The result is the median over the pairs of blocks, which ignores a disturbed block. Each kind of row is right, so
the guard looks at it and does not change it.

    python benchmarks/guard_overhead.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import wandb
from rich.console import Console
from rich.table import Table

import ups

PAIRS, CALLS = 500, 20

Log = Callable[[int], None]


def open_run(folder: Path) -> wandb.Run:
    """An offline run, beside others."""
    return wandb.init(mode="offline", dir=folder, reinit="create_new", settings=wandb.Settings(silent=True))


def define(run: wandb.Run) -> None:
    """The definitions of a run that is right."""
    run.define_metric("training/operator/step", hidden=True)
    run.define_metric("training/operator/*", step_metric="training/operator/step")


def kinds(run: wandb.Run) -> dict[str, Log]:
    """Ways to log a row."""
    stage = "training/operator/"
    many = {f"{stage}metric{index}": float(index) for index in range(20)}
    return {
        "3 values and their axis": lambda n: run.log(
            {stage + "loss": 0.5, stage + "lr": 1e-3, stage + "grad_norm": 2.0, stage + "step": n}
        ),
        "20 values and their axis": lambda n: run.log({**many, stage + "step": n}),
        "3 values, no axis": lambda n: run.log({"loss": 0.5, "lr": 1e-3, "grad_norm": 2.0}),
        "3 values, step=": lambda n: run.log({"loss": 0.5, "lr": 1e-3, "grad_norm": 2.0}, step=n),
    }


def block(log: Log, first: int) -> float:
    """Microseconds a call."""
    start = time.perf_counter()
    for number in range(first, first + CALLS):
        log(number)
    return (time.perf_counter() - start) / CALLS * 1e6


def main(folder: Path) -> None:
    plain, guarded = open_run(folder), open_run(folder)
    guard = ups.guard(guarded)
    for run in (plain, guarded):
        define(run)
    table = Table("row", "run.log µs", "guarded µs", "added µs", "added %", title="what a guard adds to run.log")
    number = 0
    for (name, without), within in zip(kinds(plain).items(), kinds(guarded).values(), strict=True):
        pairs = []
        for pair in range(PAIRS + 1):
            logs = (without, within) if pair % 2 else (within, without)
            taken = {log: block(log, number) for log in logs}
            pairs.append((taken[without], taken[within]))
            number += CALLS
        pairs = pairs[1:]  # the first warms up
        alone = statistics.median(before for before, _ in pairs)
        added = statistics.median(after - before for before, after in pairs)
        table.add_row(name, f"{alone:.1f}", f"{alone + added:.1f}", f"{added:.2f}", f"{100 * added / alone:.1f}")
    guard.release()
    for run in (plain, guarded):
        run.finish()
    Console().print(table)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ups-guard-") as made:
        main(Path(made))
