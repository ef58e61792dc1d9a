"""Trainings of the simulator, run as a user runs them and scored with ``ups evaluate``."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Trained", "trained"]


@dataclass(frozen=True)
class Trained:
    """A run that is trained to its end.

    Attributes:
        models: the scores of each model by its name, as ``ups evaluate --format json`` prints them.
        seconds: processor time of the training and its evaluation; None if a part of it was done before.
    """

    models: dict[str, dict[str, Any]]
    seconds: float | None


def trained(folder: Path, preset: str, seed: int, changes: Sequence[str] = ()) -> Trained:
    """The run in a folder of its own: trained or resumed; and its scores."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = folder / "seconds.json"
    if not _run_in(folder):
        before = _seconds_of_children()
        settings = [part for change in changes for part in ("--set", change)]
        _ups("train", "--preset", preset, "--seed", str(seed), *settings, "--mode", "disabled", "--dir", str(folder))
        measured.write_text(json.dumps(_seconds_of_children() - before))
    elif not (_run_in(folder)[0] / "checkpoints" / "evaluation.json").exists():
        _ups("train", "--resume", str(_run_in(folder)[0]))
    found = json.loads(_ups("evaluate", str(_run_in(folder)[0]), "--format", "json"))
    seconds = json.loads(measured.read_text()) if measured.exists() else None
    return Trained({model["name"]: model for model in found["models"]}, seconds)


def _run_in(folder: Path) -> list[Path]:
    return [path.parent.parent for path in folder.glob("*/checkpoints/config.json")]


def _ups(*arguments: str) -> str:
    """Run ``ups`` and give what it prints; what it says on the way goes to stderr."""
    print("ups", *arguments, file=sys.stderr, flush=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "ups", *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
