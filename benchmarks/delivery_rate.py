"""How many rows a second delivery brings into an offline run, beside ``run.log`` called directly in a loop.

The same rows of four numbers, each way in a process of its own, in turn; rows a second from the first row to the end
of ``finish``, and the median of the rounds' ratios. Delivery reads them from a journal that is complete when it starts.
It turns off the telemetry that wandb records at each row for its makers, so ``run.log`` is measured without it as well.

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
from ups.tracking.delivery import Delivery
from ups.tracking.run_directory import RunDirectory
started = []
def told(status):
    if status.state == "delivering" and not started:
        started.append(time.perf_counter())
status = Delivery(RunDirectory.open(Path(sys.argv[2]) / "r"), "offline", on_progress=told).run()
assert status.state == "finished", status
print(int(sys.argv[1]) / (time.perf_counter() - started[0]))
"""


PLAIN, NUMBERED, QUIET, UPS = (
    "run.log(row)",
    "run.log(row, step=n, commit=True)",
    "run.log(row), WANDB_ERROR_REPORTING=false",
    "UPS delivery",
)


def rate(source: str, rows: int, folder: str, *arguments: str, **variables: str) -> float:
    """Rows a second, as the script prints it; 0 where it prints nothing."""
    environment = {**os.environ, "WANDB_X_DISABLE_STATS": "true", **variables}
    done = subprocess.run(
        [sys.executable, "-c", source, str(rows), folder, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=environment,
    )
    return float(done.stdout.split()[-1]) if done.stdout.split() else 0.0


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rates: dict[str, list[float]] = {PLAIN: [], NUMBERED: [], QUIET: [], UPS: []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="ups-rate-") as folder:
            for name in ("plain", "numbered", "quiet"):
                Path(folder, name).mkdir()
            rates[PLAIN].append(rate(DIRECT, rows, f"{folder}/plain", "plain"))
            rates[NUMBERED].append(rate(DIRECT, rows, f"{folder}/numbered", "numbered"))
            rates[QUIET].append(rate(DIRECT, rows, f"{folder}/quiet", "plain", WANDB_ERROR_REPORTING="false"))
            rate(JOURNALED, rows, folder)
            rates[UPS].append(rate(DELIVERED, rows, folder))
    table = Table("way", "rows a second (median)", "of run.log(row)", title=f"{rows:,} rows into an offline run")
    for way, seen in rates.items():
        ratio = statistics.median(own / plain for own, plain in zip(seen, rates[PLAIN], strict=True))
        table.add_row(way, f"{statistics.median(seen):,.0f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
