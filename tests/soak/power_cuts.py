"""One case of the power cuts: a training on a disk, cuts at random instants, recovery, and the rows that W&B holds."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from soak.disks import Disk, DiskKind, make_disk
from waiting import wait_for
from wandb_server import WandBServer, run_sync, start_client, start_process

__all__ = ["MODES", "RECOVERIES", "Case", "Outcome", "judge", "make_case", "run_case", "table"]

Mode = Literal["offline", "online"]
Recovery = Literal["ups deliver", "resume, next stage", "resume, same stage"]

MODES: tuple[Mode, ...] = ("offline", "online")
RECOVERIES: tuple[Recovery, ...] = ("ups deliver", "resume, next stage", "resume, same stage")

STAGES = ("operator", "diffusion_residual", "consistency_distill", "refinement", "evaluation")

TRAINING = """
import json, os, sys, time, ups
plan = json.loads(sys.argv[1])
acknowledged = os.open(plan["acknowledged"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
ctx = ups.create_wandb_context({"lr": 1e-3}, run_id="r", project="p", resume=plan["resume"])
os.write(acknowledged, b"begun\\n")
for stage, first, end in plan["stages"]:
    for step in range(first, end):
        ctx.stage(stage).log(step, loss=step + 0.5, lr=1e-3)
        os.write(acknowledged, f"{stage} {step}\\n".encode())
        if step % plan["burst"] == 0:
            time.sleep(0.02)
ctx.finish(timeout=60)
"""

_RECOVERY = 120.0  # seconds that a recovery may take on a loaded machine
_FOREVER = 10**9

Step = tuple[str, int]  # of a stage


@dataclass(frozen=True)
class Case:
    """A training, and when its power is cut.

    Attributes:
        recovery: How the run is recovered after each cut; the recovery after the last one runs to its end.
        waits: Seconds before each cut: after the start of the training, and then of the recovery.
        burst: Rows logged per 20 ms.
        steps: Steps of the first two stages; the third runs until the cut.
        more: Rows that a resumed training logs after the last cut.
    """

    disk: DiskKind
    mode: Mode
    recovery: Recovery
    seed: int
    waits: tuple[float, ...]
    burst: int
    steps: tuple[int, int]
    more: int

    @property
    def resumes(self) -> bool:
        """True where a training resumes the run after a cut."""
        return self.recovery != "ups deliver"


@dataclass
class Outcome:
    """The result of a case.

    Attributes:
        options: How the disk was mounted.
        cuts: Instants at which the power was cut.
        empty: Cuts after which there was no run and no row on the disk.
        unreadable: Cuts after which ``run.json`` could not be read, though the training had been given its run.
        taken: Rows whose ``log()`` had returned, and that were not on the disk after a cut.
        on_disk: Rows that were whole lines of a journal on the disk after a cut.
        after: Rows logged after the last cut.
        lost: Rows on the disk, or logged after the last cut, that the server does not hold.
        doubled: Rows that the server holds more than once.
        problems: All that was wrong, in words.
    """

    case: Case
    options: str = ""
    cuts: int = 0
    empty: int = 0
    unreadable: int = 0
    taken: int = 0
    on_disk: int = 0
    after: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """True where nothing was lost, doubled or otherwise wrong."""
        return not (self.lost or self.doubled or self.problems)


def make_case(
    disk: DiskKind, mode: Mode, recovery: Recovery, seed: int, waits: tuple[float, ...] | None = None
) -> Case:
    """A case whose instants follow from ``seed``, unless ``waits`` gives them."""
    chance = random.Random(f"{disk} {mode} {recovery} {seed}")
    if waits is None:
        shortest, longest = chance.choices(((0.2, 2.0), (1.5, 12.0), (12.0, 45.0)), (12, 80, 8))[0]
        waits = (chance.uniform(shortest, longest),)
        if chance.random() < 1 / 3:
            waits = (*waits, chance.uniform(0.2, 8.0))  # strikes the recovery
    burst = chance.choice((1, 5, 25))
    steps = (1 + int(burst * 150 * chance.random()), 1 + int(burst * 150 * chance.random()))
    return Case(disk, mode, recovery, seed, waits, burst, steps, burst * chance.randint(5, 60))


def run_case(case: Case, folder: Path) -> Outcome:
    """Run a case in ``folder``, which must not exist."""
    folder.mkdir(parents=True)
    outcome = Outcome(case)
    chance = random.Random(f"disk {case}")
    with (
        make_disk(case.disk, folder, chance) as disk,
        WandBServer() as server,
        _Machine(case, disk, server, folder) as machine,
    ):
        outcome.options = disk.options
        try:
            machine.suffer(outcome)
            machine.settle(outcome)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            outcome.problems.append(str(error)[-1000:])
        outcome.on_disk, outcome.after = len(machine.on_disk), len(machine.after)
        run = server.runs.get("r")
        judge(outcome, run.history if run is not None else [], machine.on_disk | machine.after, machine.held)
        exit_code = 0 if case.resumes else 1
        if run is not None and machine.on_disk and outcome.good and run.exit_code != exit_code:
            outcome.problems.append(f"exit code {run.exit_code}, not {exit_code}")
        machine.keep("end")
    if outcome.good:
        shutil.rmtree(folder)  # else it holds the run as each cut left it, and at the end, and what was printed
    return outcome


def table(outcomes: Iterable[Outcome]) -> str:
    """Disk × mode × recovery: cuts, and what they cost; with sums for each disk, and for all."""
    columns = ("cuts", "empty", "unreadable", "taken", "on_disk", "after", "lost", "doubled")
    titles = ("cuts", "no run left", "run unreadable", "rows taken", "rows on disk", "logged after", "lost", "doubled")
    lines = [f"{'disk':9}  {'mode':7}  {'recovery':18}  {'  '.join(titles)}"]
    groups: dict[tuple[str, str, str], list[Outcome]] = {}
    for outcome in outcomes:
        case = outcome.case
        for group in ((case.disk, case.mode, case.recovery), (case.disk, "", "all"), ("all", "", "")):
            groups.setdefault(group, []).append(outcome)
    for group in sorted(groups, key=lambda group: (group[0] == "all", group[0], group[2] == "all", group)):
        disk, mode, recovery = group
        sums = (sum(getattr(outcome, column) for outcome in groups[group]) for column in columns)
        cells = (f"{count:{len(title)},}" for count, title in zip(sums, titles, strict=True))
        lines.append(f"{disk:9}  {mode:7}  {recovery:18}  {'  '.join(cells)}")
    return "\n".join(lines)


class _Machine:
    """The machine whose power is cut: its processes and its disk. W&B's server is elsewhere.

    Attributes:
        on_disk: Rows that were on the disk after a cut.
        after: Rows whose ``log()`` has returned since the last cut.
        held: Rows that the server held at a cut.
    """

    def __init__(self, case: Case, disk: Disk, server: WandBServer, folder: Path) -> None:
        self._case = case
        self._disk = disk
        self._server = server
        self._mark = f"{case.seed}-{folder}"
        self._folder = folder
        self._acknowledged = folder / "acknowledged"
        self._read = 0
        self._run = disk.path / "ups-runs" / "r"
        self._processes: list[subprocess.Popen[str]] = []
        self.on_disk: set[Step] = set()
        self.after: set[Step] = set()
        self.held: set[Step] = set()

    def __enter__(self) -> _Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()
        self._wait_for_silence()

    def suffer(self, outcome: Outcome) -> None:
        """Start the training and cut its power; then cut that of its recovery, once per further cut."""
        first, second = self._case.steps
        stages = [(STAGES[0], 0, first), (STAGES[1], 0, second), (STAGES[2], 0, _FOREVER)]
        self._train(stages, resume=False)
        for index, wait in enumerate(self._case.waits):
            if index:
                self._recover(_FOREVER)
            time.sleep(wait)
            self._kill()
            self._disk.cut()
            self._wait_for_silence()
            self._disk.restart()
            self._look(outcome)

    def settle(self, outcome: Outcome) -> None:
        """Recover to the end; where the run is offline, ``wandb sync`` its files to W&B's server."""
        process = self._recover(self._case.more)
        if process is None:
            return
        printed, _ = process.communicate(timeout=_RECOVERY)
        (self._folder / "printed").write_text(printed)
        self._note_acknowledged()
        if process.returncode:
            outcome.problems.append(f"{self._case.recovery}: exit status {process.returncode}: {printed[-600:]}")
        segments = sorted((self._run / "wandb").glob("offline-run-*/run-*.wandb"))
        if self._case.mode == "offline" and segments:
            printed = run_sync(self._server, self._disk.path, *[segment.parent for segment in segments])
            if "error" in printed.lower():
                outcome.problems.append(f"wandb sync: {printed[-600:]}")

    def keep(self, name: str) -> None:
        """Keep a copy of the run as it is now."""
        if self._run.exists():
            shutil.copytree(self._run, self._folder / name, symlinks=True)

    def _train(self, stages: list[tuple[str, int, int]], *, resume: bool) -> subprocess.Popen[str]:
        plan = {
            "acknowledged": str(self._acknowledged),
            "resume": resume,
            "stages": stages,
            "burst": self._case.burst,
        }
        process = start_client(self._server, self._disk.path, TRAINING, json.dumps(plan), quick=True, **self._variables)
        self._processes.append(process)
        return process

    def _recover(self, more: int) -> subprocess.Popen[str] | None:
        """Start the recovery after a cut; None where there is nothing to deliver."""
        if not self._case.resumes:
            if not (self._run / "run.json").exists() and not self.on_disk:
                return None
            command = ["-m", "ups", "deliver", str(self._run)]
            self._processes.append(start_process(self._server, self._disk.path, command, quick=True, **self._variables))
            return self._processes[-1]
        reached = Counter(dict.fromkeys(STAGES, -1))
        for stage, step in self.on_disk:
            reached[stage] = max(reached[stage], step)
        last = max((index for index, stage in enumerate(STAGES) if reached[stage] >= 0), default=0)
        if self._case.recovery == "resume, next stage" and reached[STAGES[last]] >= 0:
            last += 1
        first = reached[STAGES[last]] + 1
        return self._train([(STAGES[last], first, first + more)], resume=True)

    @property
    def _variables(self) -> dict[str, str]:
        return {**self._disk.variables, "WANDB_MODE": self._case.mode, "POWER_CUT_MACHINE": self._mark}

    def _look(self, outcome: Outcome) -> None:
        """Note what the disk and the server hold after a cut."""
        begun = self._note_acknowledged()
        rows = set(_rows_on_disk(self._run))
        outcome.cuts += 1
        self.keep(f"cut {outcome.cuts}")
        outcome.taken += len(self.after - rows)
        missing = len(self.on_disk - rows)
        if missing:
            outcome.problems.append(f"{missing} rows that an earlier cut had left are not in the journals any more")
        self.on_disk |= rows
        self.after.clear()
        run = self._server.runs.get("r")
        self.held |= _rows_held(run.history if run is not None else []).keys()
        readable = _is_readable(self._run / "run.json")
        if begun and not readable:
            outcome.unreadable += 1
            outcome.problems.append("the training had its run, and run.json cannot be read after the cut")
        if not rows and not readable:
            outcome.empty += 1

    def _note_acknowledged(self) -> bool:
        """Read the rows that the trainings have acknowledged since the last call; true where one has begun since."""
        if not self._acknowledged.exists():
            return False
        lines = self._acknowledged.read_text().splitlines()
        new, self._read = lines[self._read :], len(lines)
        rows = [line.partition(" ") for line in new if line != "begun"]
        self.after |= {(stage, int(step)) for stage, _, step in rows}
        return "begun" in new

    def _kill(self) -> None:
        """Kill every process at once."""
        for process in self._find():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def _wait_for_silence(self) -> None:
        """Wait until no process is left; one may have been starting when the others were killed."""

        def silent() -> bool:
            self._kill()
            return not self._find()

        wait_for(silent, 30, "processes outlive SIGKILL")
        for process in self._processes:
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._processes.clear()

    def _find(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("POWER_CUT_MACHINE") == self._mark:
                    found.append(process)
        return found


def _is_readable(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text())["run_id"] == "r")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _rows_on_disk(run: Path) -> Iterable[Step]:
    """The rows that are whole lines of a journal."""
    for path in (run / "journal").glob("*.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            with contextlib.suppress(ValueError):
                record = json.loads(line)
                if isinstance(record, dict) and "values" in record:
                    yield record["stage"], record["step"]


def _rows_held(history: list[dict[str, Any]]) -> Counter[Step]:
    """How often the server holds each row."""
    return Counter(
        (stage, row.get(f"training/{stage}/step", -1))
        for row in history
        for stage in STAGES
        if f"training/{stage}/loss" in row
    )


def judge(outcome: Outcome, history: list[dict[str, Any]], wanted: set[Step], held_before: set[Step]) -> None:
    """Compare the rows that the server holds with those that it should hold, and those that it held at a cut."""
    held = _rows_held(history)
    outcome.lost = len(wanted - held.keys())
    outcome.doubled = held.total() - len(held)
    if gone := held_before - held.keys():
        outcome.problems.append(f"{len(gone)} rows are gone that the server held at a cut")
    for stage in STAGES:
        axis, metric = f"training/{stage}/step", f"training/{stage}/loss"
        rows = [row for row in history if metric in row]
        missing = sorted(step for name, step in wanted - held.keys() if name == stage)
        if missing:
            outcome.problems.append(f"{stage}: {len(missing)} rows lost, from step {missing[0]} to {missing[-1]}")
        steps = [int(row.get(axis, -1)) for row in rows]
        if any(now <= before for before, now in itertools.pairwise(steps)):
            outcome.problems.append(f"{stage}: steps do not strictly increase")
        if any(row[metric] != row.get(axis, math.nan) + 0.5 for row in rows):
            outcome.problems.append(f"{stage}: a value stands at another's step")
    numbers = [row["_step"] for row in history]
    if numbers != sorted(set(numbers)):
        outcome.problems.append("_step does not strictly increase")
