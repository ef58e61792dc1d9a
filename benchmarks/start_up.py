"""The start-up time of UPS: fresh processes of each command, taking turns, with the bare interpreter beside them.

The checked run is made with the installed wandb: three stages, 180 rows. One row checks it in an environment that has
UPS's wheel alone, without wandb and without extras. The files of all modules are in the disk's cache and compiled, as
they are for anyone who has started UPS once.

Prints the median of each command's wall clock and CPU time, and the wall clock time above the bare interpreter's;
and what the wheel alone installs. Exits with 1 if the wall clock's median is above the limit.

    python benchmarks/start_up.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from release.installed import Installed

UPS = str(Path(sys.executable).with_name("ups"))
BARE = "python -c pass"
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    "import ups": [sys.executable, "-c", "import ups"],
    "ups --help": [UPS, "--help"],
    "ups check RUN": [UPS, "check", "RUN"],
}
ALONE = "ups check RUN, core alone"
LIMITS = {"import ups": 0.06, "ups --help": 0.3, "ups check RUN": 1.0, ALONE: 1.0}  # seconds

MAKER = """
import sys, wandb
settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
run = wandb.init(mode="offline", dir=sys.argv[1], project="start-up", settings=settings)
for stage, steps in (("operator", 100), ("diffusion_residual", 50), ("consistency_distill", 30)):
    axis = f"training/{stage}/step"
    run.define_metric(axis, hidden=True)
    for metric in ("loss", "lr", "grad_norm"):
        run.define_metric(f"training/{stage}/{metric}", step_metric=axis)
    for step in range(steps):
        row = {f"training/{stage}/{metric}": 1 / (step + 1) for metric in ("loss", "lr", "grad_norm")}
        run.log({**row, axis: step})
run.finish()
"""


class Start(NamedTuple):
    """One process, from its start to its end: seconds of wall clock, and of CPU."""

    wall: float
    cpu: float


def start(command: list[str], run: Path) -> Start:
    """Run a command to its end, with the run in the place of RUN."""
    command = [str(run) if part == "RUN" else part for part in command]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=run)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return Start(wall, usage.ru_utime + usage.ru_stime)


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    core = Installed("newest")
    commands = {**COMMANDS, ALONE: [str(core.python.with_name("ups")), "check", "RUN"]}
    starts: dict[str, list[Start]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="ups-start-up-") as folder:
        subprocess.run([sys.executable, "-c", MAKER, folder], check=True)
        for counted in range(-1, rounds):  # the first round warms up
            for name, command in commands.items():
                start_up = start(command, Path(folder))
                if counted >= 0:
                    starts[name].append(start_up)
    table = Table(title=f"starting UPS: medians of {rounds} fresh processes")
    for column in ("command", "wall clock", "limit", "above the bare interpreter", "CPU time"):
        table.add_column(column, justify="left" if column == "command" else "right")
    walls = {name: statistics.median(each.wall for each in all_of_them) for name, all_of_them in starts.items()}
    for name, wall in walls.items():
        limit = f"{LIMITS[name] * 1000:.0f} ms" if name in LIMITS else ""
        more = f"{(wall - walls[BARE]) * 1000:.0f} ms" if name != BARE else ""
        cpu = statistics.median(each.cpu for each in starts[name])
        table.add_row(name, f"{wall * 1000:.0f} ms", limit, more, f"{cpu * 1000:.0f} ms")
    console = Console()
    console.print(table)
    names, size = core.packages()
    console.print(f"core alone: {len(names)} packages, {size / 1e6:.1f} MB ({', '.join(names)})")
    late = [name for name, limit in LIMITS.items() if walls[name] > limit]
    for name in late:
        console.print(f"FAILED: {name} takes longer than {LIMITS[name] * 1000:.0f} ms")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
