"""The slowdown of a loop of 2 ms steps by logging each step: UPS beside wandb.

A step is a fixed number of matrix products. Blocks of 100 steps with and without logging come in pairs, in random
order, so that a change of the machine's speed disturbs both alike; a row has three values. Each tracker is offline, in
a process of its own with one computing thread, and takes turns with the others. UPS's delivery and wandb's own process
run beside the loop, on the other core if it is free. The row "journal only" is UPS without delivery. The last row logs
in neither block, and shows the error of the method.

Prints the median of the paired slowdowns, with the 95 % interval of that median (bootstrap over the pairs). Exits with
1 if UPS slows the loop by more than 3 %.

    python benchmarks/loop_overhead.py [PAIRS]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the trackers' processes, whose steps are calibrated here
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from peers.process import TrackerProcess
from peers.worker import loop

TRACKERS = {
    "ups": "UPS",
    "ups local": "UPS, journal only",
    "wandb": "wandb",
    "nothing": "nothing at all",
}
STEPS = 100  # a block
STEP = 0.002  # seconds
IN_TURN = 5  # pairs
RESAMPLES = 10_000
MOST_SLOWED = 3.0  # per cent


def products_a_step() -> int:
    """Count the matrix products that take as long as an undisturbed step."""
    products = 100
    shortest = min(loop(None, 0, 1, products) for _ in range(200))
    return max(1, round(STEP / (shortest / products)))


def slowdown(process: TrackerProcess, work: int) -> float:
    """Per cent by which a block with logging took longer than one without, next to each other."""
    seconds: dict[bool, float] = {}
    for log in random.sample((True, False), 2):
        seconds[log] = process.ask(do="loop", steps=STEPS, work=work, log=log)["seconds"]
    return 100 * (seconds[True] / seconds[False] - 1)


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of the median, by resampling the values."""
    generator = np.random.default_rng(0)
    medians = np.median(generator.choice(values, (RESAMPLES, len(values))), axis=1)
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(low), float(high)


def main() -> int:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    work = products_a_step()
    slowed: dict[str, list[float]] = {name: [] for name in TRACKERS}
    with tempfile.TemporaryDirectory(prefix="ups-loop-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        processes = [
            stack.enter_context(TrackerProcess(name, Path(sys.executable), Path(folder) / name.replace(" ", "-")))
            for name in TRACKERS
        ]
        for process in processes:
            process.calm()
            slowdown(process, work)  # warms up
        while len(slowed["ups"]) < pairs:
            for process in random.sample(processes, len(processes)):
                slowed[process.name] += [slowdown(process, work) for _ in range(IN_TURN)]
        for process in processes:
            process.finish()
    table = Table(title=f"slowdown of a loop of 2 ms steps by logging each: {len(slowed['ups'])} pairs of blocks")
    for column in ("tracker", "median", "95 % interval of the median", "middle half of the pairs"):
        table.add_column(column, justify="left" if column == "tracker" else "right")
    for name, values in slowed.items():
        low, high = interval(values)
        first, third = np.quantile(values, (0.25, 0.75))
        cells = (f"{np.median(values):+.2f} %", f"{low:+.2f} … {high:+.2f} %", f"{first:+.1f} … {third:+.1f} %")
        table.add_row(TRACKERS[name], *cells)
    console = Console()
    console.print(table)
    if np.median(slowed["ups"]) > MOST_SLOWED:
        console.print(f"FAILED: UPS slows the loop by more than {MOST_SLOWED:.0f} %")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
