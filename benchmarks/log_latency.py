"""The cost of a row of three values in the training thread, and the rows that a SIGKILL loses: UPS and other trackers.

UPS, wandb, Trackio, tensorboardX and SwanLab, each with its defaults, offline, in a process of its own. They take
turns in short blocks, each when the others have come to rest, so that a noisy machine disturbs all alike: in a tight
loop, and in a loop that computes for 2 ms before each call, as training does. A call in ``disabled`` mode and
``import ups`` are there as well.

Then each is killed by SIGKILL, several times, after it has printed how many calls had returned. That number is compared
with the rows in its files after its own means of recovery. The run that was not killed is compared in the same way.

The peers are installed in ``.peers`` when they are first needed. Exits with 1 if UPS is not first in the busy loop,
loses a row, or takes more than 5 µs in the tight one.

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
from peers.process import TrackerProcess, held

TIGHT_BLOCKS, TIGHT = 10, 2_000  # blocks, rows a block
BUSY_BLOCKS, BUSY = 20, 100
COMPUTE = 0.002  # seconds
KILLS = 5
KILLED_WITHIN = (200, 800)  # rows
MOST_IN_TIGHT_LOOP = 5.0  # µs, p50

TRACKERS = ("ups", "wandb", "trackio", "tensorboardX", "swanlab")
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

    @property
    def size(self) -> float:
        """Bytes a row."""
        return sum(self.written.values()) / self.rows


def measure_calls(pythons: dict[str, Path], folder: Path) -> dict[str, Measured]:
    """The time of each call, and what was written."""
    found = {name: Measured() for name in pythons}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(TrackerProcess(name, python, folder / name.replace(" ", "-")))
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


def quantile(taken: list[float], share: float) -> float:
    """A quantile, in microseconds."""
    return sorted(taken)[min(int(share * len(taken)), len(taken) - 1)] * 1e6


def import_time() -> float:
    """Milliseconds of ``import ups`` in a fresh interpreter: the median of 15."""
    code = "import time; t = time.perf_counter(); import ups; print(time.perf_counter() - t)"
    printed = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout for _ in range(15)]
    return statistics.median(float(text) for text in printed) * 1e3


def table_of_calls(found: dict[str, Measured], missing: dict[str, str]) -> Table:
    """The time of a call in each loop, beside that of UPS."""
    table = Table(title="log() of three values: µs, and in brackets how many times as long as with UPS")
    for column in ("tracker", "tight p50", "tight p99", "busy p50", "busy p99"):
        table.add_column(column, justify="left" if column == "tracker" else "right")
    for name, measured in found.items():
        cells = []
        for own, ours in ((measured.tight, found["ups"].tight), (measured.busy, found["ups"].busy)):
            for share in (0.5, 0.99):
                ratio = quantile(own, share) / quantile(ours, share)
                cells.append(f"{quantile(own, share):.1f} ({ratio:.3g})")
        table.add_row(name, *cells)
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
    others = {name: found[name] for name in TRACKERS[1:] if name in found}
    texts = []
    for share, word in ((0.5, "p50"), (0.99, "p99")):
        faster = [name for name, other in others.items() if quantile(other.busy, share) < quantile(ups.busy, share)]
        if faster:
            texts.append(f"{word} of the busy loop: {', '.join(faster)} before UPS")
    if quantile(ups.tight, 0.5) > MOST_IN_TIGHT_LOOP:
        texts.append(f"p50 of the tight loop: {quantile(ups.tight, 0.5):.1f} µs, wanted {MOST_IN_TIGHT_LOOP}")
    if ups.lost or ups.doubled or ups.unheld:
        texts.append(f"UPS lost {ups.lost + ups.unheld} rows and held {ups.doubled} twice")
    return texts


def main() -> int:
    own = Path(sys.executable)
    pythons: dict[str, Path] = {"ups": own, "wandb": own}
    missing: dict[str, str] = {}
    available = peers()
    for name in TRACKERS[2:]:
        python = available.get(name, "no such peer in pyproject.toml")
        if isinstance(python, Path):
            pythons[name] = python
        else:
            missing[name] = python
    with tempfile.TemporaryDirectory(prefix="ups-latency-", ignore_cleanup_errors=True) as folder:
        found = measure_calls({**pythons, DISABLED: own}, Path(folder))
        for name, python in pythons.items():
            measure_kills(name, python, Path(folder), found[name])
    console = Console()
    console.print(table_of_calls(found, missing))
    console.print(table_of_rows(found))
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
