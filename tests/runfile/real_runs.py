"""Runs made by the real client, once a test session and wandb version, and wandb's own reader to compare with."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MAKER = Path(__file__).with_name("made_runs.py")
VERSIONS = ("newest", "0.19")
"""The wandb of the tests' own environment, and the oldest whose files are read."""

_ENVIRONMENTS = Path(__file__).parents[2] / ".wandb-versions"


@functools.cache
def python_with_wandb(version: str) -> Path:
    """The interpreter of an environment with that wandb; it is made when it is first needed, in about 30 s."""
    if version == "newest":
        return Path(sys.executable)
    home = _ENVIRONMENTS / version
    if not home.is_dir():
        _ENVIRONMENTS.mkdir(exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f"{version}-", dir=_ENVIRONMENTS))
        subprocess.run([sys.executable, "-m", "venv", making], check=True)
        major, minor = version.split(".")
        wanted = [f"wandb>={version},<{major}.{int(minor) + 1}", "numpy", "pillow"]
        pip = [making / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
        subprocess.run(pip, check=True, timeout=600)
        try:
            making.rename(home)
        except OSError:  # another test process was quicker
            shutil.rmtree(making)
    return home / "bin" / "python"


def made_runs(version: str = "newest") -> Path:
    """The folder that holds every run of ``made_runs.py`` under its name."""
    return _made(version)


@functools.cache
def _made(version: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"ups-made-runs-{version}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _make(version, folder)
    _make(version, folder, "killed", survives=False)
    return folder


def _make(version: str, folder: Path, *names: str, survives: bool = True) -> None:
    done = subprocess.run(
        [python_with_wandb(version), MAKER, folder, *names],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "WANDB_ERROR_REPORTING": "false"},
    )
    assert (done.returncode == 0) is survives, done.stderr


def wandb_file(name: str, version: str = "newest") -> Path:
    """The ``.wandb`` file of a made run."""
    (file,) = (made_runs(version) / name / "wandb").glob("offline-run-*/run-*.wandb")
    return file


def inspect(file: Path) -> tuple[list[dict[str, Any]], str]:
    """Every record that ``wandb leet inspect`` reads from a file, and what it says on stderr."""
    wandb = Path(sys.executable).with_name("wandb")
    done = subprocess.run([wandb, "leet", "inspect", "--json", file], capture_output=True, text=True, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr
