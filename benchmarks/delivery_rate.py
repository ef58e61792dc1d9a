"""Rows per second that delivery brings into an offline run, beside ``run.log`` called directly in a loop.

Each way logs the same rows of four numbers, in its own process, in turn. Prints rows per second from the first row to
the end of ``finish``, and the median of the rounds' ratios. Delivery reads the rows from a journal that is complete at
the start. It turns off the telemetry that wandb records at each row for its makers, so ``run.log`` is measured without
it too.

Delivery syncs each row to the disk before it gives the row to wandb. The last way leaves these syncs out, which shows
their cost. The second table has the time from ``stage.log`` to ``run.log`` of rows that come 20 per second, with and
without the syncs. W&B's page lags by that time and by wandb's own uploads; the dashboard lags by neither.

    python benchmarks/delivery_rate.py [ROWS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROUNDS = 5

DIRECT = """
import sys, time, wandb
rows, folder, numbered = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "numbered"
run = wandb.init(mode="offline", dir=folder, settings=wandb.Settings(silent=True, x_disable_stats=True))
for name in ("loss", "lr", "grad_norm"):
    run.define_metric(f"training/a/{name}", step_metric="training/a/step")
start = time.perf_counter()
for n in range(rows):
    row = {"training/a/loss": 1 / (n + 1), "training/a/lr": 1e-3, "training/a/grad_norm": n * 0.5, "training/a/step": n}
    if numbered:
        run.log(row, step=n, commit=True)
    else:
        run.log(row)
run.finish()
wandb.teardown()
print(rows / (time.perf_counter() - start))
"""

JOURNALED = """
import sys, ups
with ups.create_wandb_context({}, "r", mode="local", dir=sys.argv[2]) as ctx:
    stage = ctx.stage("a")
    for n in range(int(sys.argv[1])):
        stage.log(n, loss=1 / (n + 1), lr=1e-3, grad_norm=n * 0.5)
"""

DELIVERED = """
import sys, time
from pathlib import Path
from ups.delivery.delivery import Delivery
from ups.journal.run_directory import RunDirectory
if sys.argv[3] == "unsynced":
    import os
    os.fsync = lambda descriptor: None
started = []
def note(status):
    if status.state == "delivering" and not started:
        started.append(time.perf_counter())
status = Delivery(RunDirectory.open(Path(sys.argv[2]) / "r"), "offline", on_progress=note).run()
assert status.state == "finished", status
print(int(sys.argv[1]) / (time.perf_counter() - started[0]))
"""


LIVE = """
import os, statistics, sys, time, ups
from ups.delivery.session import Session
if sys.argv[3] == "unsynced":
    os.fsync = lambda descriptor: None
took, log = [], Session.log
def timed(session, row, number):
    took.append(time.time() - row.time)
    log(session, row, number)
Session.log = timed
with ups.create_wandb_context({}, "r", mode="offline", dir=sys.argv[2], delivery="thread") as ctx:
    time.sleep(5)
    for n in range(int(sys.argv[1])):
        ctx.stage("a").log(n, loss=1.0)
        time.sleep(0.05)
took.sort()
print(statistics.median(took), took[len(took) * 95 // 100])
"""


PLAIN, NUMBERED, QUIET, UPS, UNSYNCED = (
    "run.log(row)",
    "run.log(row, step=n, commit=True)",
    "run.log(row), WANDB_ERROR_REPORTING=false",
    "UPS delivery",
    "UPS delivery, without syncs",
)
LIVE_ROWS = 300


def run(source: str, rows: int, folder: str, *arguments: str, **variables: str) -> list[float]:
    """The numbers in the last line that the script prints."""
    environment = {**os.environ, "WANDB_X_DISABLE_STATS": "true", **variables}
    done = subprocess.run(
        [sys.executable, "-c", source, str(rows), folder, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=environment,
    )
    return [float(word) for word in done.stdout.splitlines()[-1].split()] if done.stdout.strip() else []


def rate(source: str, rows: int, folder: str, *arguments: str, **variables: str) -> float:
    """Rows per second, as the script prints it."""
    (found,) = run(source, rows, folder, *arguments, **variables)
    return found


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rates: dict[str, list[float]] = {PLAIN: [], NUMBERED: [], QUIET: [], UPS: [], UNSYNCED: []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="ups-rate-") as folder:
            for name in ("plain", "numbered", "quiet"):
                Path(folder, name).mkdir()
            rates[PLAIN].append(rate(DIRECT, rows, f"{folder}/plain", "plain"))
            rates[NUMBERED].append(rate(DIRECT, rows, f"{folder}/numbered", "numbered"))
            rates[QUIET].append(rate(DIRECT, rows, f"{folder}/quiet", "plain", WANDB_ERROR_REPORTING="false"))
            for way, name in ((UPS, "synced"), (UNSYNCED, "unsynced")):
                run(JOURNALED, rows, f"{folder}/{name}")
                rates[way].append(rate(DELIVERED, rows, f"{folder}/{name}", name))
    table = Table("way", "rows per second (median)", "of run.log(row)", title=f"{rows:,} rows into an offline run")
    for way, seen in rates.items():
        ratio = statistics.median(own / plain for own, plain in zip(seen, rates[PLAIN], strict=True))
        table.add_row(way, f"{statistics.median(seen):,.0f}", f"{ratio:.2f}")
    Console().print(table)
    table = Table("way", "median (s)", "p95 (s)", title="From stage.log to run.log, 20 rows per second")
    for way, name in ((UPS, "synced"), (UNSYNCED, "unsynced")):
        with tempfile.TemporaryDirectory(prefix="ups-rate-") as folder:
            middle, late = run(LIVE, LIVE_ROWS, folder, name)
        table.add_row(way, f"{middle:.2f}", f"{late:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
