"""How long a row holds the training thread: ``stage.log`` of three values beside ``wandb.run.log``.

Both log offline in this process, in alternating blocks, so that a noisy machine disturbs both alike: in a tight
loop, and in a loop that computes for 2 ms between calls, as training does. Also a call in ``disabled`` mode, and
``import ups``.

    python benchmarks/log_latency.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core computes, as a training loop does; one is for the others
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

BLOCKS, TIGHT, BUSY = 10, 2_000, 100
COMPUTE = 0.002  # seconds

Log = Callable[[int, float, float, float], None]


def measure(log: Log, first: int, rows: int, compute: float) -> list[float]:
    """Seconds that each of ``rows`` calls took, with ``compute`` seconds of arithmetic before each."""
    matrix = np.random.default_rng(0).random((64, 64))
    values = [(random.random(), random.random() * 1e-3, random.random() * 5) for _ in range(rows)]
    clock = time.perf_counter
    taken = []
    for step, (loss, lr, grad_norm) in enumerate(values, first):
        until = clock() + compute
        while clock() < until:
            matrix @ matrix
        start = clock()
        log(step, loss, lr, grad_norm)
        taken.append(clock() - start)
    return taken


def alternate(logs: dict[str, Log], rows: int, compute: float, first: int) -> dict[str, list[float]]:
    """Blocks of each, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in logs}
    for block in range(BLOCKS):
        for name, log in logs.items():
            taken[name] += measure(log, first + block * rows, rows, compute)
    return taken


def microseconds(taken: list[float], share: float) -> float:
    """A quantile, in microseconds."""
    return sorted(taken)[min(int(share * len(taken)), len(taken) - 1)] * 1e6


def import_time() -> float:
    """Milliseconds of ``import ups`` in a fresh interpreter: the median of 15, less nothing."""
    code = "import time; t = time.perf_counter(); import ups; print(time.perf_counter() - t)"
    printed = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(15)]
    return statistics.median(float(text) for text in printed) * 1e3


def main() -> None:
    import wandb

    import ups

    folder = Path(tempfile.mkdtemp(prefix="ups-latency-"))
    run = wandb.init(mode="offline", dir=folder, settings=wandb.Settings(silent=True))
    ctx = ups.create_wandb_context({}, mode="offline", dir=folder)
    stage = ctx.stage("operator")
    disabled = ups.create_wandb_context({}, mode="disabled").stage("operator")
    logs: dict[str, Log] = {
        "ups stage.log": lambda step, loss, lr, g: stage.log(step, loss=loss, lr=lr, grad_norm=g),
        "wandb run.log": lambda step, loss, lr, g: run.log({"loss": loss, "lr": lr, "grad_norm": g}),
        "ups disabled": lambda step, loss, lr, g: disabled.log(step, loss=loss, lr=lr, grad_norm=g),
    }
    time.sleep(3)  # until delivery runs
    table = Table("loop", "call", "p50 µs", "p99 µs", "p50 of wandb's", "p99 of wandb's", title="log() of three values")
    first = 0
    for loop, rows, compute in (("tight", TIGHT, 0.0), ("2 ms of computing", BUSY, COMPUTE)):
        taken = alternate(logs, rows, compute, first)
        first += BLOCKS * rows
        p50, p99 = microseconds(taken["wandb run.log"], 0.5), microseconds(taken["wandb run.log"], 0.99)
        for name, times in taken.items():
            own50, own99 = microseconds(times, 0.5), microseconds(times, 0.99)
            ratios = (f"1/{p50 / own50:.0f}", f"1/{p99 / own99:.0f}") if name != "wandb run.log" else ("1", "1")
            table.add_row(loop, name, f"{own50:.2f}", f"{own99:.1f}", *ratios)
    run.finish()
    ctx.finish()
    console = Console()
    console.print(table)
    console.print(f"import ups: {import_time():.1f} ms (median of 15 fresh interpreters)")


if __name__ == "__main__":
    main()
