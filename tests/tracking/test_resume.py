"""A training that starts again from an older checkpoint goes on with the same run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ups
from held import read_held
from ups.errors import UsageError
from wandb_server import SYNCS_IN_PYTHON, WandBServer, run_sync, start_process

# Logs two stages, writes a checkpoint every 100 rows, and is killed by itself where it is told to.
TRAINER = """
import json, os, pathlib, signal, sys, ups
killed_at = int(sys.argv[1])
checkpoint = pathlib.Path("checkpoint.json")
first = json.loads(checkpoint.read_text()) if checkpoint.exists() else 0
with ups.create_wandb_context({"attempt": killed_at}, "r", project="p", resume=True, stages=["a", "b"]) as ctx:
    for row in range(first, 600):
        if row % 100 == 0:
            checkpoint.write_text(json.dumps(row))
        stage, step = ("a", row) if row < 300 else ("b", row - 300)
        ctx.stage(stage).log(step, loss=1 / (step + 1), attempt=float(killed_at))
        if row == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
"""
KILLS = (150, 333, 480)


def attempts(run: Callable[[int], None]) -> None:
    for killed_at in KILLS:
        run(killed_at)
    run(-1)


def test_offline_three_kills_in_a_row(wandb_server: WandBServer, tmp_path: Path) -> None:
    """Every chart is full and no step is there twice, in W&B's files and at the server after one ``wandb sync``."""

    def train(killed_at: int) -> None:
        environment = {**os.environ, "WANDB_MODE": "offline"}
        subprocess.run([sys.executable, "-c", TRAINER, str(killed_at)], env=environment, check=killed_at < 0)

    attempts(train)
    held = read_held(Path("ups-runs/r"))
    for stage in ("a", "b"):
        assert [x for x, _ in held.stage(stage)] == list(range(300))
    assert [y for _, y in held.stage("a", "attempt")] == [150] * 151 + [333] * 149  # the first attempt's points stay
    segments = sorted((Path("ups-runs/r") / "wandb").glob("offline-run-*"))
    run_sync(wandb_server, tmp_path, *[segment.absolute() for segment in segments])
    run = wandb_server.run("r")
    for stage in ("a", "b"):
        steps = [point[0] for point in run.points(f"training/{stage}/step", f"training/{stage}/loss")]
        assert steps == list(range(300))
    assert run.exit_code == 0
    assert run.config["attempt"] == (KILLS[0] if SYNCS_IN_PYTHON else -1)  # that one keeps what the server has


def test_online_three_kills_in_a_row(wandb_server: WandBServer, tmp_path: Path) -> None:
    """Every chart is full and no step is there twice at the server, and a sync by hand of what is left adds nothing."""

    def train(killed_at: int) -> None:
        process = start_process(wandb_server, tmp_path, ["-c", TRAINER, str(killed_at)])
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == (0 if killed_at < 0 else -9), printed

    attempts(train)

    def assert_full() -> None:
        run = wandb_server.run("r")
        for stage in ("a", "b"):
            steps = [point[0] for point in run.points(f"training/{stage}/step", f"training/{stage}/loss")]
            assert steps == list(range(300))
        assert [row["_step"] for row in run.history] == list(range(600))
        assert run.exit_code == 0

    assert_full()
    if not SYNCS_IN_PYTHON:  # which sends what it is given by name, whatever the marker
        run_sync(wandb_server, tmp_path, *sorted((tmp_path / "ups-runs" / "r" / "wandb").glob("run-*")))
        assert_full()


def test_the_journal_keeps_all_attempts() -> None:
    """A step that is logged again is in the journal twice, and drawn once, or each time if that was asked for."""
    for repeated, drawn in (("first", [0, 1, 2, 3, 4, 5]), ("all", [0, 1, 2, 3, 2, 3, 4, 5])):
        for steps in (range(4), range(2, 6)):
            with ups.create_wandb_context(
                run_id=repeated,
                mode="offline",
                delivery="thread",
                resume=True,
                repeated=repeated,  # type: ignore[arg-type]
            ) as ctx:
                for step in steps:
                    ctx.stage("a").log(step, loss=1.0)
        assert [x for x, _ in read_held(ctx.dir).stage("a")] == drawn
        journals = "".join(path.read_text() for path in (ctx.dir / "journal").glob("*.jsonl"))
        assert journals.count('"values"') == 8


def test_a_run_that_is_being_trained_is_not_resumed() -> None:
    """Two processes cannot both go on with a run; the second is told, and the first goes on."""
    source = """
import ups
try:
    ups.create_wandb_context({}, "r", mode="offline", resume=True)
except ups.errors.UsageError as error:
    print(error)
"""
    with ups.create_wandb_context({}, "r", mode="offline") as ctx:
        ctx.stage("a").log(0, loss=1.0)
        shutil.copytree(ctx.dir / "journal", "copy")  # opens and closes its files, also what this process holds
        printed = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout
        assert "is being trained by another process" in printed
        ctx.stage("a").log(1, loss=1.0)
    assert [x for x, _ in read_held(ctx.dir).stage("a")] == [0, 1]


def test_resuming_nothing_in_particular_is_refused() -> None:
    """``resume=True`` without a run's id raises and says what to pass; with an id that is new it starts the run."""
    with pytest.raises(UsageError, match="pass its run_id"):
        ups.create_wandb_context(resume=True, mode="local")
    with ups.create_wandb_context(run_id="fresh", resume=True, mode="local") as ctx:
        assert ctx.dir.is_dir()
