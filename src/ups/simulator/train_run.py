"""A run of ``ups train``: started, resumed or found; its directory is the tracker's, or its own if it is untracked."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from ups.credentials import workspace_setting
from ups.errors import ConfigError, RunDirectoryError
from ups.journal.run_directory import RunDirectory, new_run_id, runs_folder
from ups.journal.untrusted import parse
from ups.simulator.config import Config, from_dict
from ups.tracking import WandBContext, create_wandb_context, join_wandb_context

__all__ = ["latest", "load_config", "resume", "start"]

_PROJECT = "ups-simulator"


def start(
    config: Config,
    *,
    stages: Sequence[str],
    parent: Path | None,
    mode: Literal["online", "offline", "local", "disabled"] | None,
    project: str | None,
    name: str | None,
) -> tuple[Path, WandBContext]:
    """Start a run: return its directory, which holds the configuration, and its context.

    Without ``project``, it is the one that is configured for wandb, else ``ups-simulator``.

    Raises:
        RunDirectoryError: The directory cannot be written.
    """
    project = project or os.environ.get("WANDB_PROJECT") or workspace_setting("project") or _PROJECT
    context = create_wandb_context(config, project=project, name=name, stages=stages, mode=mode, dir=parent)
    run_dir = context.dir if context.enabled else (parent or runs_folder()) / f"untracked-{new_run_id()}"
    try:
        _save_config(run_dir, config)
    except BaseException:
        context.finish(1)
        raise
    return run_dir, context


def resume(run_dir: Path, *, beside: bool = False) -> tuple[Config, WandBContext]:
    """Resume a run: return its configuration, and its context, which tracks nothing if the run is not tracked.

    A process ``beside`` the first of a distributed job waits for that one to resume the run.

    Raises:
        RunDirectoryError: The directory does not hold a run of ``ups train``.
    """
    config = load_config(run_dir)
    if RunDirectory(run_dir).manifest_file.exists():
        if beside:
            return config, create_wandb_context(run_id=run_dir.name, dir=run_dir.absolute().parent, resume=True)
        return config, join_wandb_context(run_dir)
    return config, create_wandb_context(config, mode="disabled")


def latest(parent: Path | None) -> Path:
    """The run of ``ups train`` that was started, or wrote a checkpoint, last.

    Raises:
        RunDirectoryError: The folder holds none.
    """
    folder = parent or runs_folder()
    runs = [path.parent for path in folder.glob("*/checkpoints/config.json")]
    if not runs:
        raise RunDirectoryError(f"{folder} holds no run to resume: name its directory, or start one")
    return max(runs, key=lambda checkpoints: checkpoints.stat().st_mtime).parent


def load_config(run_dir: Path) -> Config:
    """The configuration that a run was started with.

    Raises:
        RunDirectoryError: The directory has none, or it cannot be read.
    """
    path = _config_path(run_dir)
    try:
        if path.exists() and not path.is_file():
            raise RunDirectoryError(f"{path} is not a regular file, so it is not read")
        return from_dict(parse(path.read_bytes()))
    except FileNotFoundError as error:
        raise RunDirectoryError(f"{run_dir} is not a run of 'ups train': it has no {path}") from error
    except (OSError, ValueError, ConfigError) as error:
        raise RunDirectoryError(f"cannot read {path}: {error}") from error


def _save_config(run_dir: Path, config: Config) -> None:
    path = _config_path(run_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunDirectoryError(f"cannot write {path}: {error}") from error


def _config_path(run_dir: Path) -> Path:
    return run_dir / "checkpoints" / "config.json"
