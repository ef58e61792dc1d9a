"""The time of a test with three stages: with the fixture ``wandb_charts``, and with offline wandb.

Both log the same 180 rows in three stages, each way in a process of its own, one test after another. The fixture's
time includes that it checks all charts. wandb's does not: it is the time from ``wandb.init`` to the end of ``finish``,
with its default settings, and its own process stays between the tests, as in a session of pytest. The first test of
each process, which imports wandb, is apart.

Prints the first and the median of the rest, in milliseconds, and the share of wandb's time that the fixture takes.
Exits with 1 if that is above a quarter.

    python benchmarks/testing_fixture.py [TESTS]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}
WAYS = {"fixture": "wandb_charts, with the check", "wandb": "offline wandb"}
MOST = 0.25  # of wandb's time


def log_stages() -> None:
    """The code under test."""
    import wandb

    run = wandb.init(project="simulator")
    for stage in STAGES:
        run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step")
    for stage, steps in STAGES.items():
        for step in range(steps):
            run.log({f"training/{stage}/loss": 1 / (step + 1), f"training/{stage}/step": step})
    run.finish()


def one_test(way: str, folder: Path) -> float:
    """The seconds of one test."""
    begin = time.perf_counter()
    if way == "fixture":
        from ups.testing.recorder import recorded

        with recorded(folder) as charts:
            log_stages()
            charts.assert_all_full()
    else:
        os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(folder))
        log_stages()
    return time.perf_counter() - begin


def measured(way: str, tests: int) -> list[float]:
    """The seconds of some tests, one after another in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="ups-testing-", ignore_cleanup_errors=True) as folder:
        done = subprocess.run(
            [sys.executable, __file__, way, str(tests)], cwd=folder, capture_output=True, text=True, check=True
        )
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main() -> int:
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    table = Table("test with", "the first, ms", "then, ms", title=f"a test with three stages, {tests} times")
    medians = {}
    for way, name in WAYS.items():
        first, *rest = measured(way, tests)
        medians[way] = statistics.median(rest)
        table.add_row(name, f"{1e3 * first:.0f}", f"{1e3 * medians[way]:.0f}")
    share = medians["fixture"] / medians["wandb"]
    console = Console()
    console.print(table)
    console.print(f"after the first, the fixture takes {share:.0%} of the time of offline wandb")
    if share > MOST:
        console.print(f"FAILED: that is above {MOST:.0%}")
    return int(share > MOST)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in WAYS:
        here = Path.cwd()
        print(json.dumps([one_test(sys.argv[1], here / f"{number}") for number in range(int(sys.argv[2]))]))
        sys.exit(0)
    sys.exit(main())
