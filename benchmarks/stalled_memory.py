"""The memory of trainer, delivery and wandb over many rows, with W&B stalled for the first half.

Online, against the loopback server of the tests, in this process: it answers 429 to every upload of rows until half of
the rows are logged, and then takes them. The trainer logs rows of three values as fast as delivery hands them over, or
as fast as it can while delivery hands over none. Prints the resident memory in MB at each tenth of the rows, the peak
while the backlog is delivered, and the memory after that.

Exits with 1 if the memory of trainer or delivery is not flat, so that its peak is above the memory at the first tenth
by more than 10 % and 10 MB; or if the server does not hold each row once.

    python benchmarks/stalled_memory.py [ROWS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from ups.journal.run_directory import RunDirectory
from ups.journal.status import read_status
from wandb_server import Fault, Run, WandBServer

PARTS = 10
STUCK = 10.0  # seconds without a row handed over
GROWTH, SLACK = 1.10, 10.0  # times, and MB
DRAINED_WITHIN = 1800.0  # seconds
WHO = ("trainer", "delivery", "wandb-core")

TRAINER = """
import sys, ups
rows = int(sys.argv[1])
ctx = ups.create_wandb_context({}, "stalled", mode="online", dir=sys.argv[2])
stage = ctx.stage("a")
n = 0
print("started", flush=True)
for line in sys.stdin:
    if line.strip() == "finish":
        break
    for n in range(n, n + int(line)):
        stage.log(n, loss=1 / (n + 1), lr=1e-3, grad_norm=n * 0.5)
    n += 1
    print(n, flush=True)
ctx.finish(timeout=3600)
print("finished", flush=True)
sys.stdin.read()
"""


@dataclass
class Sample:
    """One moment: the state of the server, the rows handed over to wandb, and each process's memory in MB."""

    when: str
    server: str
    handed_over: int
    memory: dict[str, float] = field(default_factory=dict)


def processes(trainer: psutil.Process) -> Iterator[tuple[str, psutil.Process]]:
    """The processes of a run, by what they are."""
    yield "trainer", trainer
    for child in trainer.children(recursive=True):
        try:
            if child.name().startswith("wandb-core"):
                yield "wandb-core", child
            elif "deliver" in child.cmdline():
                yield "delivery", child
        except psutil.NoSuchProcess:
            continue


def memory(trainer: psutil.Process) -> dict[str, float]:
    """The resident memory of each process that lives, in MB."""
    found = {}
    for who, process in processes(trainer):
        try:
            found[who] = process.memory_info().rss / 1e6
        except psutil.NoSuchProcess:
            continue
    return found


def handed_over(directory: RunDirectory) -> int:
    """Rows that delivery has handed to wandb, by its last report."""
    status = read_status(directory)
    return status.rows if status is not None else 0


def wait_for_delivery(directory: RunDirectory, rows: int) -> None:
    """Wait until delivery has handed over so many rows, or has stopped handing over."""
    last, since = -1, time.monotonic()
    while (now := handed_over(directory)) < rows:
        if now > last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > STUCK:
            return
        time.sleep(0.1)


def measure(rows: int, folder: Path) -> tuple[list[Sample], Run, float]:
    """Train, stall and drain. Returns what was seen, what the server holds, and the seconds of the drain."""
    directory = RunDirectory(folder / "stalled")
    samples: list[Sample] = []
    with WandBServer() as server:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
        with subprocess.Popen(
            [sys.executable, "-c", TRAINER, str(rows), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=kept | server.environment(folder),
            cwd=folder,
        ) as trainer:
            assert trainer.stdin is not None
            assert trainer.stdout is not None
            of_trainer = psutil.Process(trainer.pid)

            def sample(when: str) -> None:
                state = "stalled" if server.fault else "takes rows"
                samples.append(Sample(when, state, handed_over(directory), memory(of_trainer)))

            def tell(line: str) -> None:
                trainer.stdin.write(line + "\n")
                trainer.stdin.flush()

            trainer.stdout.readline()
            while not any(request.operation == "UpsertBucket" for request in server.requests):
                time.sleep(0.1)  # a stall comes to a run that is open
            server.fault = Fault(status=429, match="file_stream")
            for part in range(1, PARTS + 1):
                tell(str(rows // PARTS))
                logged = int(trainer.stdout.readline())
                wait_for_delivery(directory, logged)
                sample(f"{logged:,} logged")
                if part == PARTS // 2:
                    server.fault = None
            started = time.monotonic()
            most = Sample("drain (most)", "takes rows", 0)
            tell("finish")
            while handed_over(directory) < rows or server.run("stalled").state == "running":
                for who, used in memory(of_trainer).items():
                    most.memory[who] = max(used, most.memory.get(who, 0.0))
                if time.monotonic() - started > DRAINED_WITHIN:
                    raise RuntimeError(f"not drained within {DRAINED_WITHIN:.0f} s: {read_status(directory)}")
                time.sleep(0.2)
            drained = time.monotonic() - started
            most.handed_over = handed_over(directory)
            samples.append(most)
            if trainer.stdout.readline().strip() != "finished":
                raise RuntimeError("the trainer did not finish")
            sample("read back")
            trainer.stdin.close()
        return samples, server.run("stalled"), drained


def not_flat(samples: list[Sample]) -> list[str]:
    """Whose memory grew until the drain had ended."""
    texts = []
    for who in ("trainer", "delivery"):
        seen = [sample.memory[who] for sample in samples[: PARTS + 1] if who in sample.memory]
        if max(seen) > GROWTH * seen[0] and max(seen) > seen[0] + SLACK:
            texts.append(f"{who}: {max(seen):.0f} MB at most, {seen[0]:.0f} MB at the first tenth")
    return texts


def main() -> int:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="ups-stalled-", ignore_cleanup_errors=True) as folder:
        samples, run, drained = measure(rows, Path(folder))
    table = Table("when", "W&B", "handed over", *WHO, title=f"resident memory in MB, {rows:,} rows")
    for sample in samples:
        cells = [f"{sample.memory[who]:.0f}" if who in sample.memory else "–" for who in WHO]
        table.add_row(sample.when, sample.server, f"{sample.handed_over:,}", *cells)
    first, stalled, last = samples[0], samples[PARTS // 2 - 1], samples[PARTS - 1]
    ratios = (f"{last.memory[who] / first.memory[who]:.2f}" for who in WHO)
    table.add_row("last / first", "", "", *ratios)
    console = Console()
    console.print(table)
    steps = [step for (step,) in run.points("training/a/step")]
    console.print(
        f"The server holds {len(steps):,} rows, {len(set(steps)):,} different ones. The drain took {drained:.0f} s."
    )
    most = max(sample.memory["wandb-core"] for sample in samples[: PARTS // 2])
    console.print(
        f"While W&B was stalled, delivery handed over {stalled.handed_over:,} of {rows // 2:,} rows; wandb-core held"
        f" {most:.0f} MB at most."
    )
    failures = not_flat(samples)
    if sorted(steps) != list(range(rows)):
        failures.append("the server does not hold each row once")
    for failure in failures:
        console.print(f"FAILED: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
