"""One case of the soak: a training, kills at random instants, recovery, and what W&B's server holds in the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from ups.errors import RunDirectoryError
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status
from waiting import wait_for
from wandb_server import Run, WandBServer, run_sync, start_client, start_process

__all__ = ["MODES", "VICTIMS", "Case", "Outcome", "make_case", "run_case", "table"]

Mode = Literal["offline", "online"]
Victim = Literal["trainer", "delivery", "wandb-core"]

MODES: tuple[Mode, ...] = ("offline", "online")

# What dies at one instant, and how many such instants a training meets. The last two strike the recovery as well.
VICTIMS: dict[str, tuple[tuple[Victim, ...], int]] = {
    "trainer": (("trainer",), 1),
    "delivery": (("delivery",), 3),
    "wandb-core": (("wandb-core",), 3),
    "delivery and wandb-core": (("delivery", "wandb-core"), 3),
    "trainer and delivery": (("trainer", "delivery"), 1),
    "all three": (("trainer", "delivery", "wandb-core"), 1),
    "delivery, and its recovery": (("delivery",), 4),
    "trainer and delivery, and 'ups deliver'": (("trainer", "delivery"), 2),
}

STAGES = ("operator", "diffusion_residual", "consistency_distill")

TRACKED = """
import os, sys, time, ups
burst, *steps = map(int, sys.argv[1:])
returned = os.open("returned", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
ctx = ups.create_wandb_context({"lr": 1e-3}, run_id="r", project="p")
for stage, count in zip(("operator", "diffusion_residual", "consistency_distill"), steps, strict=True):
    for step in range(count):
        ctx.stage(stage).log(step, loss=step + 0.5, lr=1e-3)
        os.write(returned, f"{stage} {step}\\n".encode())
        if step % burst == 0 or step > 2000:
            time.sleep(0.02)
            if stage == "consistency_distill" and os.path.exists("enough"):
                break
ctx.finish()
"""

SCRIPT = """
import os, sys, time
import {wandb}
from PIL import Image
burst, *steps = map(int, sys.argv[1:])
returned = os.open("returned", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
settings = wandb.Settings(silent=True, x_disable_stats=True)
run = wandb.init(project="p", id="r", config={{"lr": 1e-3}}, settings=settings)
for stage, count in zip(("operator", "diffusion_residual", "consistency_distill"), steps, strict=True):
    run.define_metric(f"training/{{stage}}/*", step_metric=f"training/{{stage}}/step")
    for step in range(count):
        row = {{f"training/{{stage}}/loss": step + 0.5, f"training/{{stage}}/step": step}}
        if step % {media_every} == 0:
            row[f"training/{{stage}}/sample"] = wandb.Image(Image.new("L", (2, 2), step % 256))
        run.log({{f"training/{{stage}}/lr": 1e-3}}, commit=False)
        run.log(row)
        os.write(returned, f"{{stage}} {{step}}\\n".encode())
        if step % burst == 0 or step > 2000:
            time.sleep(0.02)
            if stage == "consistency_distill" and os.path.exists("enough"):
                break
run.finish()
"""
MEDIA_EVERY = 40  # steps
ONE_LINE, PLAIN = "a wandb script, one line", "a wandb script, plainly"
TRAININGS = {
    "UPS": TRACKED,
    ONE_LINE: SCRIPT.format(wandb="ups.wandb as wandb", media_every=MEDIA_EVERY),
    PLAIN: SCRIPT.format(wandb="wandb", media_every=MEDIA_EVERY),
}

_RECOVERY = 90.0  # seconds that a recovery may take on a loaded machine
_LATEST = 3.0  # seconds after the start, or after a recovery, by which a kill comes
_FOREVER = 10**9


@dataclass(frozen=True)
class Case:
    """What is killed in one training, and when.

    Attributes:
        waits: Seconds before each kill: after the start, and then after the recovery from the kill before.
        restless: Whether the kills after the first do not wait for the recovery, but strike it.
        burst: Rows logged in each 20 ms, up to 2,000 of the last stage.
        steps: Steps of the three stages; the last goes on until it is told to end.
        script: The training, of :data:`TRAININGS`.
    """

    victim: str
    mode: Mode
    seed: int
    waits: tuple[float, ...]
    restless: bool
    burst: int
    steps: tuple[int, int, int]
    script: str = "UPS"

    @property
    def dying(self) -> tuple[Victim, ...]:
        """What dies at one instant."""
        return VICTIMS[self.victim][0]


@dataclass
class Outcome:
    """What became of a case.

    Attributes:
        kills: Instants at which something was killed.
        logged: Rows whose ``log()`` had returned.
        lost: Of those, how many the server does not hold.
        doubled: Rows that the server holds more than once.
        problems: What else was wrong.
    """

    case: Case
    kills: int = 0
    logged: int = 0
    lost: int = 0
    doubled: int = 0
    recoveries: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, doubled or otherwise wrong."""
        return not (self.lost or self.doubled or self.problems)


def make_case(victim: str, mode: Mode, seed: int, kills: int | None = None, script: str = "UPS") -> Case:
    """A case whose instants follow from ``seed``."""
    chance = random.Random(f"{victim} {mode} {seed}")
    restless = "," in victim
    burst = chance.choice((1, 5, 25))
    steps = (1 + int(burst * 60 * chance.random()), 1 + int(burst * 60 * chance.random()), _FOREVER)
    waits = tuple(chance.uniform(0, _LATEST) for _ in range(kills or VICTIMS[victim][1]))
    return Case(victim, mode, seed, (waits[0] + chance.uniform(0, 2), *waits[1:]), restless, burst, steps, script)


def run_case(case: Case, folder: Path) -> Outcome:
    """Run a case in ``folder``, which must not exist."""
    folder.mkdir(parents=True)
    outcome = Outcome(case)
    kind = _PlainTraining if case.script == PLAIN else _Training
    with WandBServer() as server, kind(case, server, folder) as training:
        try:
            training.suffer(outcome)
            training.settle(outcome)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            outcome.problems.append(f"{error}; status: {training.status()}")
        returned = training.returned()
        outcome.logged = sum(returned.values())
        run = server.runs.get("r")
        _judge(outcome, run, returned)
        if run is not None and outcome.good:
            wanted = int("trainer" in case.dying)
            if run.exit_code != wanted:
                outcome.problems.append(f"exit code {run.exit_code}, not {wanted}")
    return outcome


def table(outcomes: Iterable[Outcome]) -> str:
    """Victim × mode × trainings, kills, rows logged, lost, doubled and median recovery, with sums for each mode."""
    wide = max(map(len, VICTIMS))
    lines = [f"{'killed':{wide}}  mode     trainings  kills  rows logged  lost  doubled  median recovery"]
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        case = outcome.case
        for group in ((case.victim, case.mode), ("all", case.mode), ("all", "")):
            groups.setdefault(group, []).append(outcome)
    order = [*VICTIMS, "all"]
    for victim, mode in sorted(groups, key=lambda group: (order.index(group[0]), group[1] == "", group[1])):
        lines.append(f"{victim:{wide}}  {mode:7}  {_cells(groups[victim, mode])}")
    return "\n".join(lines)


def _cells(group: list[Outcome]) -> str:
    kills, logged, lost, doubled = (
        sum(getattr(o, name) for o in group) for name in ("kills", "logged", "lost", "doubled")
    )
    recovery = statistics.median([seconds for outcome in group for seconds in outcome.recoveries] or [0.0])
    return f"{len(group):9}  {kills:5}  {logged:11,}  {lost:4}  {doubled:7}  {recovery:13.1f} s"


class _Training:
    """A training with its delivery, as the processes that a kill may strike."""

    def __init__(self, case: Case, server: WandBServer, folder: Path) -> None:
        self._case = case
        self._server = server
        self._folder = folder
        self._directory = RunDirectory(folder / "ups-runs" / "r")
        arguments = [str(number) for number in (case.burst, *case.steps)]
        self._trainer = start_client(server, folder, TRAININGS[case.script], *arguments, WANDB_MODE=case.mode)
        self._deliver: subprocess.Popen[str] | None = None

    def __enter__(self) -> _Training:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._find("delivery"), *self._find("wandb-core")):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for popen in (self._trainer, self._deliver):
            if popen is not None:
                popen.kill()
                popen.communicate()

    def status(self) -> Status | None:
        """What the newest delivery told last."""
        with contextlib.suppress(RunDirectoryError):
            return read_status(self._directory)
        return None

    def returned(self) -> Counter[str]:
        """For each stage, how many calls of ``log()`` have returned."""
        path = self._folder / "returned"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(line.partition(" ")[0] for line in lines)

    def suffer(self, outcome: Outcome) -> None:
        """All kills of the case, each with its recovery."""
        if self._case.script == ONE_LINE:  # which imports wandb, and that takes seconds
            wait_for(lambda: self.returned().total() > 0, 90, "no row was logged")
        for index, wait in enumerate(self._case.waits):
            time.sleep(wait)
            before = self.status()
            self._kill(self._case.dying if self._trainer_lives else ("delivery",))
            outcome.kills += 1
            struck, logged = time.monotonic(), sum(self.returned().values())
            if self._case.restless and index + 1 < len(self._case.waits):
                if not self._trainer_lives:
                    self._deliver = self._start_deliver()
                continue
            self._recover(before, logged)
            outcome.recoveries.append(time.monotonic() - struck)

    def settle(self, outcome: Outcome) -> None:
        """Have what lives finish; then W&B's server is brought what a kill left behind in files."""
        (self._folder / "enough").touch()
        printed, _ = self._trainer.communicate(timeout=_RECOVERY)
        if "trainer" not in self._case.dying:
            assert self._trainer.returncode == 0, printed
        if not RunDirectory.exists(self._directory.path):
            return
        if not self._finished():
            self._run_deliver()
        if self._case.mode == "offline" and self._directory.segments():
            printed = run_sync(self._server, self._folder, *[path.parent for path in self._directory.segments()])
            if "error" in printed.lower():
                outcome.problems.append(f"wandb sync said: {printed}")

    def _kill(self, victims: tuple[Victim, ...]) -> None:
        """Kill all of ``victims`` at once, as soon as all are there."""
        found: list[psutil.Process] = []

        def all_there() -> bool:
            found.clear()
            for victim in victims:
                processes = self._find(victim)
                found.extend(processes)
                if not processes and (victim == "trainer" or self._trainer_lives):
                    return False
            return True

        wait_for(all_there, 90, f"no {' and '.join(victims)} to kill")
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        if "trainer" in victims:
            self._trainer.wait()

    def _recover(self, before: Status | None, logged: int) -> None:
        """Wait until what lives has delivered ``logged`` rows; where nothing does, ``ups deliver``."""
        if self._trainer_lives:
            old = before.backend if before is not None else []

            def again() -> bool:
                now = self.status()
                return now is not None and now.backend != old and now.state == "delivering" and now.rows >= logged

            wait_for(again, _RECOVERY, "delivery did not recover")
        elif RunDirectory.exists(self._directory.path):
            if "delivery" not in self._case.dying:
                wait_for(lambda: not self._find("delivery"), _RECOVERY, "delivery did not end")
            if not self._finished():
                self._run_deliver()

    def _find(self, victim: Victim) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            if victim == "trainer":
                return [psutil.Process(self._trainer.pid)] if self._trainer_lives else []
            deliveries = self._deliveries()
            if victim == "delivery":
                return deliveries
            children = [child for delivery in deliveries for child in delivery.children(recursive=True)]
            cores = [child for child in children if child.name() == "wandb-core"]
            return [core for core in cores if core.status() != psutil.STATUS_ZOMBIE]
        return []

    def _deliveries(self) -> list[psutil.Process]:
        """By their command line: one that has just started has not told anything yet."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                command = process.cmdline()
                if "deliver" in command and str(self._directory.path) in command:
                    found.append(process)
        return found

    @property
    def _trainer_lives(self) -> bool:
        return self._trainer.poll() is None

    def _finished(self) -> bool:
        status = self.status()
        return status is not None and status.state == "finished" and not self._find("delivery")

    def _start_deliver(self) -> subprocess.Popen[str] | None:
        if not RunDirectory.exists(self._directory.path):
            return None
        command = ["-m", "ups", "deliver", str(self._directory.path)]
        return start_process(self._server, self._folder, command, WANDB_MODE=self._case.mode)

    def _run_deliver(self) -> None:
        process = self._start_deliver()
        assert process is not None
        self._deliver = process
        printed, _ = process.communicate(timeout=_RECOVERY)
        assert process.returncode == 0, f"ups deliver: {printed}"


class _PlainTraining(_Training):
    """A training with wandb alone: its process is killed, and what wandb-core has written is sent."""

    def suffer(self, outcome: Outcome) -> None:
        """Kill the trainer, and wait until wandb-core has ended."""
        wait_for(lambda: self.returned().total() > 0, 90, "no row was logged")
        time.sleep(self._case.waits[0])
        cores = psutil.Process(self._trainer.pid).children(recursive=True)
        self._trainer.kill()
        self._trainer.wait()
        outcome.kills += 1
        psutil.wait_procs(cores, timeout=_RECOVERY)

    def settle(self, outcome: Outcome) -> None:
        """Sync what is in files."""
        if self._case.mode == "offline":
            run_sync(self._server, self._folder, *self._folder.glob("wandb/offline-run-*"))


def _judge(outcome: Outcome, run: Run | None, returned: Counter[str]) -> None:
    """Count what the server lacks of the rows whose ``log()`` had returned, and what it holds twice."""
    history: list[dict[str, Any]] = run.history if run is not None else []
    for stage in STAGES:
        axis, metric = f"training/{stage}/step", f"training/{stage}/loss"
        rows = [row for row in history if metric in row]
        steps = [int(row.get(axis, -1)) for row in rows]
        held = Counter(steps)
        missing = [step for step in range(returned[stage]) if step not in held]
        outcome.lost += len(missing)
        outcome.doubled += sum(held.values()) - len(held)
        if missing:
            outcome.problems.append(f"{stage}: {len(missing)} of {returned[stage]} lost, the first is {missing[0]}")
        if steps != sorted(held):
            outcome.problems.append(f"{stage}: steps do not strictly increase")
        if len(held) > returned[stage] + 1:
            outcome.problems.append(f"{stage}: {len(held)} rows held, {returned[stage]} logged")
        if any(row[metric] != row.get(axis, 0) + 0.5 for row in rows):
            outcome.problems.append(f"{stage}: a value stands at another's step")
        if outcome.case.script != "UPS" and run is not None:
            images = [row.get(f"training/{stage}/sample", {}).get("path") for row in rows]
            pairs = zip(steps, images, strict=True)
            unsent = [step for step, path in pairs if step % MEDIA_EVERY == 0 and path not in run.files]
            outcome.lost += len(unsent)
            if unsent:
                outcome.problems.append(f"{stage}: the images of steps {unsent[:5]} are not there")
    numbers = [row["_step"] for row in history]
    if numbers != sorted(set(numbers)):
        outcome.problems.append("_step does not strictly increase")
