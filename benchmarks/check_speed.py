"""``ups check`` against ``wandb leet inspect --summary`` on one file, whole processes, taking turns.

Run as ``python benchmarks/check_speed.py [--rows N] [--long N] [--rounds N]``. The runs are made by the real client,
offline, and kept in ``~/.cache/ups-benchmarks`` (or ``$UPS_BENCHMARKS``) for the next time: 140 MB for 200,000 rows of
four metrics. Exits with 1 if ``ups check`` is less than twice as fast, takes more than 300 MB, or does not stay linear.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

LEAST_RATIO = 2.0  # times as fast as wandb's own reader
MOST_MEMORY = 300  # MB, at 200,000 rows
MOST_GROWTH = 1.25  # time per row of the long run over that of the short one

MAKER = """
import math, sys
import wandb
rows, folder = int(sys.argv[1]), sys.argv[2]
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
run = wandb.init(mode="offline", dir=folder, project="check-speed", settings=settings)
axis = "training/operator/step"
run.define_metric(axis, hidden=True)
for metric in ("loss", "lr", "grad_norm", "accuracy"):
    run.define_metric(f"training/operator/{metric}", step_metric=axis)
for step in range(rows):
    run.log({
        "training/operator/loss": 1 / (step + 1),
        "training/operator/lr": 1e-3 * math.cos(step / rows),
        "training/operator/grad_norm": 1 + math.sin(step) ** 2,
        "training/operator/accuracy": math.tanh(step / rows),
        axis: step,
    })
run.finish()
"""


@dataclass
class Measured:
    """One process: seconds of wall clock, seconds of CPU, and the most memory it held, in MB."""

    wall: float
    cpu: float
    memory: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--long", type=int, default=1_000_000, help="rows of the long run; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    wandb = str(Path(sys.executable).with_name("wandb"))
    commands = {"ups check": [sys.executable, "-m", "ups", "check"], "wandb leet inspect": [wandb, "leet", "inspect"]}
    commands["wandb leet inspect"].append("--summary")
    failures = []
    medians: dict[tuple[str, int], Measured] = {}
    print(f"{'rows':>9} {'MB':>6}  {'command':<20} {'wall s':>7} {'CPU s':>7} {'MB held':>8} {'ratio':>6}")
    for rows in [options.rows, *([options.long] if options.long else [])]:
        file = made_run(rows)
        size = file.stat().st_size / 1e6
        found: dict[str, list[Measured]] = {name: [] for name in commands}
        for _ in range(1 + (options.rounds if rows == options.rows else 3)):
            for name, command in commands.items():
                found[name].append(measure([*command, str(file)]))
        for name, all_of_them in found.items():
            runs = all_of_them[1:]  # the first one warms the disk's cache
            ups = medians[name, rows] = Measured(
                statistics.median(run.wall for run in runs),
                statistics.median(run.cpu for run in runs),
                max(run.memory for run in runs),
            )
            ratio = ups.wall / medians["ups check", rows].wall
            print(
                f"{rows:>9,} {size:>6.0f}  {name:<20} {ups.wall:>7.2f} {ups.cpu:>7.2f} {ups.memory:>8.0f} {ratio:>6.2f}"
            )
        ours, theirs = medians["ups check", rows], medians["wandb leet inspect", rows]
        if theirs.wall < LEAST_RATIO * ours.wall:
            failures.append(f"{rows:,} rows: {theirs.wall / ours.wall:.2f} times as fast, wanted {LEAST_RATIO}")
    ours = medians["ups check", options.rows]
    if ours.memory > MOST_MEMORY:
        failures.append(f"{ours.memory:.0f} MB held, wanted at most {MOST_MEMORY}")
    if options.long:
        growth = medians["ups check", options.long].cpu / ours.cpu / (options.long / options.rows)
        print(f"CPU time per row at {options.long:,} rows over that at {options.rows:,}: {growth:.2f}")
        if growth > MOST_GROWTH:
            failures.append(f"time per row grows by {growth:.2f}, wanted at most {MOST_GROWTH}")
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


def made_run(rows: int) -> Path:
    """The file of a run with that many rows; made if it is not there."""
    home = Path(os.environ.get("UPS_BENCHMARKS") or Path.home() / ".cache" / "ups-benchmarks") / f"{rows}-rows"
    found = sorted(home.glob("wandb/offline-run-*/run-*.wandb"))
    if not found:
        print(f"making a run of {rows:,} rows in {home} …", file=sys.stderr)
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-c", MAKER, str(rows), str(home)], check=True)
        found = sorted(home.glob("wandb/offline-run-*/run-*.wandb"))
    return found[0]


def measure(command: list[str]) -> Measured:
    """Run a command to its end."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss is in bytes on macOS
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


if __name__ == "__main__":
    sys.exit(main())
