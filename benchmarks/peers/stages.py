"""Three stages in one run with each tracker, every stage counting from 0, and what its files hold of them.

python -m peers.stages TRACKER FOLDER    prints, for each stage, how many points lie at a step of their own
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from peers.trackers import swanlab_scalars, tensorboard_events

__all__ = ["STAGES", "TRACKERS"]

STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}
"""Each stage, and its steps."""

Held = dict[str, list[float]]
"""The content of a run's files: the x of each point of a stage's loss."""


def ups(folder: Path) -> Held:
    """``stage.log(step, loss=…)``."""
    import ups

    with ups.create_wandb_context({}, "run", mode="offline", dir=folder) as ctx:
        for stage, steps in STAGES.items():
            for step in range(steps):
                ctx.stage(stage).log(step, loss=1.0)
    run = ups.open_run(folder / "run")
    return {stage: run.series(f"training/{stage}/loss").x.tolist() for stage in STAGES}


def wandb(folder: Path) -> Held:
    """``run.log({"STAGE/loss": …, "STAGE/step": step}, step=step)``."""
    return _wandb(folder, numbered=True)


def wandb_unnumbered(folder: Path) -> Held:
    """``run.log({"STAGE/loss": …, "STAGE/step": step})``."""
    return _wandb(folder, numbered=False)


def _wandb(folder: Path, *, numbered: bool) -> Held:
    import wandb

    run = wandb.init(mode="offline", dir=folder, settings=wandb.Settings(silent=True))
    for stage, steps in STAGES.items():
        run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        for step in range(steps):
            run.log({f"{stage}/loss": 1.0, f"{stage}/step": step}, step=step if numbered else None)
    run.finish()
    return _held_by_wandb(folder)


def _held_by_wandb(folder: Path) -> Held:
    import wandb

    from ups.runs import open_run

    wandb.teardown()  # the file is whole after that
    run = open_run(folder / "wandb")
    return {stage: run.series(f"{stage}/loss").x.tolist() for stage in STAGES}


def lightning(folder: Path) -> Held:
    """``WandbLogger.log_metrics({"STAGE/loss": …}, step)``."""
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(save_dir=folder, offline=True)
    for stage, steps in STAGES.items():
        for step in range(steps):
            logger.log_metrics({f"{stage}/loss": 1.0}, step)
    logger.experiment.finish()
    return _held_by_wandb(folder)


def trackio(folder: Path) -> Held:
    """``run.log({"STAGE/loss": …}, step=step)``."""
    import sqlite3

    import trackio

    run = trackio.init(project="stages")
    for stage, steps in STAGES.items():
        for step in range(steps):
            run.log({f"{stage}/loss": 1.0}, step=step)
    run.finish()
    held: Held = {stage: [] for stage in STAGES}
    with sqlite3.connect(folder / "stages.db") as database:
        for step, metrics in database.execute("select step, metrics from metrics order by id"):
            for name in json.loads(metrics):
                held[name.split("/")[0]].append(step)
    return held


def tensorboardx(folder: Path) -> Held:
    """``writer.add_scalar("STAGE/loss", …, step)``."""
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder))
    for stage, steps in STAGES.items():
        for step in range(steps):
            writer.add_scalar(f"{stage}/loss", 1.0, step)
    writer.close()
    held: Held = {stage: [] for stage in STAGES}
    for event in tensorboard_events(folder):
        for value in event.summary.value:
            held[value.tag.split("/")[0]].append(event.step)
    return held


def swanlab(folder: Path) -> Held:
    """``run.log({"STAGE/loss": …}, step=step)``."""
    import swanlab

    run = swanlab.init(project="stages", mode="offline", log_dir=str(folder))
    for stage, steps in STAGES.items():
        for step in range(steps):
            run.log({f"{stage}/loss": 1.0}, step=step)
    run.finish()
    held: Held = {stage: [] for stage in STAGES}
    for scalar in swanlab_scalars(folder):
        if scalar.key.endswith("/loss"):
            held[scalar.key.split("/")[0]].append(scalar.step)
    return held


TRACKERS: dict[str, Callable[[Path], Held]] = {
    "ups": ups,
    "wandb": wandb,
    "wandb, unnumbered": wandb_unnumbered,
    "lightning": lightning,
    "trackio": trackio,
    "tensorboardX": tensorboardx,
    "swanlab": swanlab,
}
"""A tracker's name → logs the stages into a folder, and reads back what is held; its docstring is the call."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a tracker prints does not come between
    held = TRACKERS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({stage: len(set(xs)) for stage, xs in held.items()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
