"""Runs made by the real client, once a test session, and wandb's own reader to compare with."""

import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MAKER = Path(__file__).with_name("made_runs.py")


@functools.cache
def made_runs() -> Path:
    """The folder that holds every run of ``made_runs.py`` under its name."""
    folder = Path(tempfile.mkdtemp(prefix="ups-made-runs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _make(folder)
    _make(folder, "killed", survives=False)
    return folder


def _make(folder: Path, *names: str, survives: bool = True) -> None:
    done = subprocess.run(
        [sys.executable, MAKER, folder, *names], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode == 0) is survives, done.stderr


def wandb_file(name: str) -> Path:
    """The ``.wandb`` file of a made run."""
    (file,) = (made_runs() / name / "wandb").glob("offline-run-*/run-*.wandb")
    return file


def inspect(file: Path) -> tuple[list[dict[str, Any]], str]:
    """Every record that ``wandb leet inspect`` reads from a file, and what it says on stderr."""
    wandb = Path(sys.executable).with_name("wandb")
    done = subprocess.run([wandb, "leet", "inspect", "--json", file], capture_output=True, text=True, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr
