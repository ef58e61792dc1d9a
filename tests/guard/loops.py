"""Runs of the real client in this process, with a guard and without."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wandb

import ups
from held import Held, read_held

__all__ = ["STAGES", "Loop", "full", "held_by", "open_run", "stages_of"]

Loop = Callable[["wandb.Run"], None]

STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}


def full() -> dict[str, list[int]]:
    """Every step of every stage."""
    return {stage: list(range(steps)) for stage, steps in STAGES.items()}


def stages_of(held: Held) -> dict[str, list[int]]:
    """The steps of each stage's loss."""
    return {stage: [x for x, _ in held.stage(stage)] for stage in STAGES}


def open_run(folder: Path, **options: Any) -> wandb.Run:
    """A quiet offline run."""
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    return wandb.init(mode="offline", dir=folder, settings=settings, **options)


def held_by(loop: Loop, *, guarded: bool = True, folder: Path | None = None) -> Held:
    """What W&B holds of a run that ``loop`` logged, with a guard from right after ``wandb.init`` or without."""
    folder = folder or Path(tempfile.mkdtemp(dir=Path.cwd()))
    run = open_run(folder)
    if guarded:
        ups.guard(run)
    loop(run)
    run.finish()
    wandb.teardown()
    return read_held(folder)
