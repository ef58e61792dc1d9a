"""The cost of a row of three values in the training thread, and the rows that a SIGKILL loses: UPS and other trackers.

UPS, wandb, a wandb script with the one line ``import ups.wandb as wandb``, Trackio (whose calls are wandb's too),
tensorboardX and SwanLab, each with its defaults, offline, in a process of its own. They take
turns in short blocks, each when the others have come to rest, so that a noisy machine disturbs all alike: in a tight
loop, and in a loop that computes for 2 ms before each call, as training does. A call in ``disabled`` mode and
``import ups`` are there as well, and ``import wandb`` and ``wandb.init`` with and without the one line.

Then each is killed by SIGKILL, several times, after it has printed how many calls had returned. That number is compared
with the rows in its files after its own means of recovery. The run that was not killed is compared in the same way.

The peers are installed in ``.peers`` when they are first needed. Exits with 1 if UPS is not first in the busy loop,
loses a row, or takes more than 5 µs in the tight one; or if the one line loses a row, is slower than Trackio, or takes
more than 1/20 of wandb's p50 in the tight loop, or 1/12 of its p50 or p99 in the busy one.

    python benchmarks/log_latency.py
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from peers.environment import peers
from peers.process import TrackerProcess, environment, held

TIGHT_BLOCKS, TIGHT = 10, 2_000  # blocks, rows a block
BUSY_BLOCKS, BUSY = 20, 100
COMPUTE = 0.002  # seconds
KILLS = 5
KILLED_WITHIN = (200, 800)  # rows
LOOPS = ("tight p50", "tight p99", "busy p50", "busy p99")
MOST_IN_TIGHT_LOOP = 5.0  # µs, p50

ONE_LINE = "wandb, one line"
ONE_LINE_AT_MOST = {"tight p50": 1 / 20, "busy p50": 1 / 12, "busy p99": 1 / 12}  # of wandb's
STARTS = 9  # fresh interpreters

TRACKERS = ("ups", "wandb", ONE_LINE, "trackio", "tensorboardX", "swanlab")
DISABLED = "ups disabled"


@dataclass
class Measured:
    """The measurements of one tracker.

    Attributes:
        tight, busy: Seconds of each call.
        written: Bytes of each file, by path.
        rows, unheld: Rows that were logged into those files, and how many of them are not in there after ``finish``.
        returned, lost, doubled: Rows of the runs that were killed.
    """

    tight: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    written: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    unheld: int = 0
    returned: int = 0
    lost: int = 0
    doubled: int = 0

    def quantile(self, loop: str) -> float:
        """A quantile of the calls, in microseconds: ``tight p50``, ``busy p99`` and so on."""
        kind, share = loop.split(" p")
        taken = sorted(self.tight if kind == "tight" else self.busy)
        return taken[min(len(taken) * int(share) // 100, len(taken) - 1)] * 1e6

    @property
    def size(self) -> float:
        """Bytes a row."""
        return sum(self.written.values()) / self.rows


def measure_calls(pythons: dict[str, Path], folder: Path) -> dict[str, Measured]:
    """The time of each call, and what was written."""
    found = {name: Measured() for name in pythons}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(TrackerProcess(name, python, folder / name.replace(" ", "-").replace(",", "")))
            for name, python in pythons.items()
        ]
        for process in processes:
            process.calm()
        for blocks, rows, compute in ((TIGHT_BLOCKS, TIGHT, 0.0), (BUSY_BLOCKS, BUSY, COMPUTE)):
            for block in range(1 + blocks):
                for process in random.sample(processes, len(processes)):
                    seconds = process.ask(do="log", rows=rows, compute=compute)["seconds"]
                    process.calm()
                    if block:  # the first warms up
                        measured = found[process.name]
                        (measured.busy if compute else measured.tight).extend(seconds)
                    found[process.name].rows += rows
        for process in processes:
            process.finish()
            measured = found[process.name]
            measured.written = process.written()
            if process.name != DISABLED:
                steps = held(process.name, pythons[process.name], process.folder)
                measured.unheld = len(set(range(measured.rows)).difference(steps))
    return found


def measure_kills(name: str, python: Path, folder: Path, measured: Measured) -> None:
    """Count the rows whose call had returned and that are lost after a SIGKILL."""
    for kill in range(KILLS):
        with TrackerProcess(name, python, folder / f"{name}-killed-{kill}") as process:
            process.calm()
            returned = process.log_and_kill(random.randint(*KILLED_WITHIN), COMPUTE)
            steps = held(name, python, process.folder)
        measured.returned += returned
        measured.lost += len(set(range(returned)).difference(steps))
        measured.doubled += len(steps) - len(set(steps))


def import_time() -> float:
    """Milliseconds of ``import ups`` in a fresh interpreter: the median of 15."""
    code = "import time; t = time.perf_counter(); import ups; print(time.perf_counter() - t)"
    printed = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(15)]
    return statistics.median(float(text) for text in printed) * 1e3


def start_times(folder: Path) -> Table:
    """Milliseconds of the import and of ``wandb.init``, offline, with and without the one line, in turns."""
    code = """
import time
start = time.perf_counter()
{line}
imported = time.perf_counter()
run = wandb.init(mode="offline", settings=wandb.Settings(silent=True))
print(1e3 * (imported - start), 1e3 * (time.perf_counter() - imported), flush=True)
import os
os._exit(0)
"""
    lines = ("import wandb", "import ups.wandb as wandb")
    taken: dict[str, list[list[float]]] = {line: [] for line in lines}
    for _ in range(STARTS):
        for line in lines:
            done = subprocess.run(
                [sys.executable, "-c", code.format(line=line)],
                capture_output=True,
                text=True,
                check=True,
                cwd=folder,
                env=environment(folder),
            )
            taken[line].append([float(each) for each in done.stdout.split()])
    table = Table(title=f"ms, median and least of {STARTS} fresh interpreters in turns")
    for column in ("script", "import", "wandb.init"):
        table.add_column(column, justify="left" if column == "script" else "right")
    for line, times in taken.items():
        table.add_row(line, *(f"{statistics.median(each):.0f}, {min(each):.0f}" for each in zip(*times, strict=True)))
    return table


def table_of_calls(found: dict[str, Measured], missing: dict[str, str]) -> Table:
    """The time of a call in each loop, beside that of UPS."""
    table = Table(title="log() of three values: µs, and in brackets how many times as long as with UPS")
    for column in ("tracker", *LOOPS):
        table.add_column(column, justify="left" if column == "tracker" else "right")
    for name, measured in found.items():
        own = {loop: measured.quantile(loop) for loop in LOOPS}
        table.add_row(name, *(f"{us:.1f} ({us / found['ups'].quantile(loop):.3g})" for loop, us in own.items()))
    for name, why in missing.items():
        table.add_row(name, f"not installed: {why}")
    return table


def table_of_rows(found: dict[str, Measured]) -> Table:
    """The size of a row on disk, and the rows that a SIGKILL loses."""
    table = Table(title=f"on disk, and after {KILLS} SIGKILLs in the busy loop")
    for column in ("tracker", "bytes per row", "lost at finish", "rows, killed", "lost, killed", "twice"):
        table.add_column(column, justify="left" if column == "tracker" else "right")
    for name in TRACKERS:
        if name in found:
            m = found[name]
            table.add_row(name, f"{m.size:.0f}", f"{m.unheld:,}", f"{m.returned:,}", f"{m.lost:,}", f"{m.doubled:,}")
    return table


def missed(found: dict[str, Measured]) -> list[str]:
    """The limits that UPS broke."""
    ups = found["ups"]
    others = {name: found[name] for name in TRACKERS[1:] if name in found and name != ONE_LINE}
    texts = []
    for loop in ("busy p50", "busy p99"):
        faster = [name for name, other in others.items() if other.quantile(loop) < ups.quantile(loop)]
        if faster:
            texts.append(f"{loop}: {', '.join(faster)} before UPS")
    if ups.quantile("tight p50") > MOST_IN_TIGHT_LOOP:
        texts.append(f"tight p50: {ups.quantile('tight p50'):.1f} µs, wanted {MOST_IN_TIGHT_LOOP}")
    one_line = found[ONE_LINE]
    for loop, most in ONE_LINE_AT_MOST.items():
        if one_line.quantile(loop) > most * found["wandb"].quantile(loop):
            texts.append(f"{loop} of {ONE_LINE}: {one_line.quantile(loop):.1f} µs, wanted {most:.3f} of wandb's")
        if "trackio" in found and one_line.quantile(loop) > found["trackio"].quantile(loop):
            texts.append(f"{loop}: trackio before {ONE_LINE}")
    for name in ("ups", ONE_LINE):
        if found[name].lost or found[name].doubled or found[name].unheld:
            texts.append(f"{name}: lost {found[name].lost + found[name].unheld} rows, held {found[name].doubled} twice")
    return texts


def main() -> int:
    own = Path(sys.executable)
    pythons: dict[str, Path] = {"ups": own, "wandb": own, ONE_LINE: own}
    missing: dict[str, str] = {}
    available = peers()
    for name in TRACKERS[3:]:
        python = available.get(name, "no such peer in pyproject.toml")
        if isinstance(python, Path):
            pythons[name] = python
        else:
            missing[name] = python
    with tempfile.TemporaryDirectory(prefix="ups-latency-", ignore_cleanup_errors=True) as folder:
        found = measure_calls({**pythons, DISABLED: own}, Path(folder))
        for name, python in pythons.items():
            measure_kills(name, python, Path(folder), found[name])
        starts = start_times(Path(folder))
    console = Console()
    console.print(table_of_calls(found, missing))
    console.print(table_of_rows(found))
    console.print(starts)
    ups = found["ups"]
    journal = sum(size for path, size in ups.written.items() if path.startswith("run/journal/"))
    files = sum(size for path, size in ups.written.items() if path.endswith(".wandb"))
    console.print(f"A row of UPS: {journal / ups.rows:.0f} bytes in the journal, {files / ups.rows:.0f} in W&B's file.")
    console.print(f"import ups: {import_time():.1f} ms (median of 15 fresh interpreters)")
    failures = missed(found)
    for failure in failures:
        console.print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
