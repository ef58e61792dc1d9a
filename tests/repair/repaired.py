"""Runs made by the real client, once a test session; repaired and synced to one server, once a test process."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from environments import made_by
from repair.broken_runs import CASES
from runfile.real_runs import made_runs
from ups.check import RunCheck, check_run
from ups.repair import Plan, Written, plan_repair, write_repair
from ups.runs import open_run
from wandb_server import Run, WandBServer, run_sync

MAKER = Path(__file__).with_name("broken_runs.py")
MADE_FOR_THE_CHECK = ("frozen", "empty", "stale", "lagging", "backwards", "ambiguous", "orphan", "single_point")


@dataclass(frozen=True)
class Repaired:
    """A run before its repair and after: its check, and what the server holds after ``wandb sync``."""

    before: RunCheck
    plan: Plan
    written: Written
    after: RunCheck
    server: Run
    artifacts: tuple[str, ...]
    unchanged: bool


@functools.cache
def broken_runs() -> Path:
    """The folder that holds every run of ``broken_runs.py`` under its name; made once for all test processes."""
    return made_by("broken-runs", MAKER)


def original(name: str) -> Path:
    """The folder of a run that was made, by its name."""
    return (made_runs() if name in MADE_FOR_THE_CHECK else broken_runs()) / name


@functools.cache
def all_repaired() -> dict[str, Repaired]:
    """Every run that can be repaired, by its name."""
    out, runs = scratch(), {}
    for name in (*MADE_FOR_THE_CHECK, *CASES):
        print_before = fingerprint(original(name))
        run = open_run(original(name))
        before, plan = check_run(run), plan_repair(run)
        written = write_repair(plan, out / name)
        after = check_run(open_run(out / name))
        runs[name] = (before, plan, written, after, fingerprint(original(name)) == print_before)
    with WandBServer() as server:
        run_sync(server, out, *(folder for made in runs.values() for folder in made[2].folders))
        logged = [(artifact.run, artifact.name) for artifact in server.artifacts]
        return {
            name: Repaired(
                before,
                plan,
                written,
                after,
                server.run(plan.run_id),
                tuple(artifact for run_id, artifact in logged if run_id == plan.run_id),
                unchanged,
            )
            for name, (before, plan, written, after, unchanged) in runs.items()
        }


def scratch() -> Path:
    """A folder that is gone when the tests are done."""
    folder = Path(tempfile.mkdtemp(prefix="ups-repair-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def fingerprint(folder: Path) -> dict[str, str]:
    """A checksum of every file below a folder; a link in it leads to a log of wandb's own that may still grow."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
