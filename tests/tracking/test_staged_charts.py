"""Why UPS exists, on the real client: what a staged training's charts hold, by how it logs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.context import ForkContext, SpawnContext
from pathlib import Path
from typing import Any

import pytest
import wandb

import joining
import ups
from held import Held, read_held

STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}
Log = Callable[[Any, str, str, int], None]


def xs(held: Held) -> dict[str, list[int]]:
    return {stage: [x for x, _ in held.stage(stage)] for stage in STAGES}


def full() -> dict[str, list[int]]:
    return {stage: list(range(steps)) for stage, steps in STAGES.items()}


@pytest.mark.parametrize(
    ("log", "points"),
    [
        (lambda run, metric, axis, step: run.log({metric: 1 / (step + 1)}, step=step), {"operator": [0] * 100}),
        (
            lambda run, metric, axis, step: run.log({metric: 1 / (step + 1), axis: step}, step=step),
            {"operator": list(range(100))},
        ),
        (lambda run, metric, axis, step: run.log({metric: 1 / (step + 1), axis: step}), full()),
    ],
    ids=["axis-never-logged", "axis-logged-and-step", "axis-logged"],
)
def test_plain_wandb_keeps_what_the_design_says(log: Log, points: dict[str, list[int]]) -> None:
    """With ``step=`` from 0 in each stage, wandb freezes the first chart or drops the later stages."""
    run = wandb.init(mode="offline", dir=Path.cwd(), settings=wandb.Settings(silent=True, x_disable_stats=True))
    for stage in STAGES:
        run.define_metric(f"training/{stage}/step", hidden=True)
        run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step")
    for stage, steps in STAGES.items():
        for step in range(steps):
            log(run, f"training/{stage}/loss", f"training/{stage}/step", step)
    run.finish()
    assert xs(read_held(Path.cwd())) == {stage: points.get(stage, []) for stage in STAGES}


def test_three_stages_in_one_process_are_full() -> None:
    """The same stages through ``log_training_metric`` keep every point, each stage on its own axis."""
    with ups.create_wandb_context({}, mode="offline") as ctx:
        for stage, steps in STAGES.items():
            for step in range(steps):
                ctx.log_training_metric(stage, "loss", 1 / (step + 1), step)
    held = read_held(ctx.dir)
    assert xs(held) == full()
    assert [row["_step"] for row in held.rows] == list(range(180))


JOINING = """
import sys, ups
stage, steps = sys.argv[1], int(sys.argv[2])
with ups.join_wandb_context() as ctx:
    for step in range(steps):
        ctx.log_training_metric(stage, "loss", 1 / (step + 1), step)
"""


def test_three_processes_one_after_another_are_full() -> None:
    """Stages that run in processes of their own, one after another, join the run through its directory."""
    with ups.create_wandb_context({}, mode="offline", stages=list(STAGES)) as ctx:
        for stage, steps in STAGES.items():
            subprocess.run([sys.executable, "-c", JOINING, stage, str(steps)], check=True)
    assert xs(read_held(ctx.dir)) == full()


@pytest.mark.parametrize(
    "start", [multiprocessing.get_context("spawn"), multiprocessing.get_context("fork")], ids=["spawn", "fork"]
)
def test_three_processes_at_once_are_full(start: SpawnContext | ForkContext) -> None:
    """Three processes that log at the same time lose no point and draw no chart backwards."""
    with ups.create_wandb_context({}, mode="offline", stages=list(STAGES)) as ctx:
        processes = [start.Process(target=joining.train, args=item) for item in STAGES.items()]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0, 0]
    held = read_held(ctx.dir)
    assert xs(held) == full()
    assert [row["_step"] for row in held.rows] == list(range(180))


def test_processes_that_nobody_holds_together_are_full(tmp_path: Path) -> None:
    """A shell script that runs the stages as processes of their own gets one run with every chart full."""
    with ups.create_wandb_context({}, mode="offline", stages=list(STAGES), dir=tmp_path / "runs") as ctx:
        pass
    for stage, steps in STAGES.items():
        subprocess.run(
            [sys.executable, "-c", JOINING, stage, str(steps)],
            env={**os.environ, "UPS_RUN_DIR": str(ctx.dir)},
            check=True,
        )
    assert xs(read_held(ctx.dir)) == full()


def test_every_metric_is_defined_by_its_exact_name() -> None:
    """Each metric is defined by exact name with its stage's step metric, which is hidden; nothing by a glob."""
    with ups.create_wandb_context({}, mode="offline", delivery="thread") as ctx:
        for stage in STAGES:
            ctx.stage(stage).log(0, {"loss": 1.0, "loss/pde": 2.0, "50%": 3.0})
    definitions = {metric["name"]: metric for metric in read_held(ctx.dir).metrics}
    assert not any("glob_name" in metric for metric in definitions.values())
    for stage in STAGES:
        axis = f"training/{stage}/step"
        assert definitions[axis]["options"]["hidden"] is True
        for name in ("loss", "loss/pde", "50%"):
            assert definitions[f"training/{stage}/{name}"]["step_metric"] == axis
