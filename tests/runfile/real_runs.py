"""Runs made by the real client, once a wandb version, and wandb's own reader to compare with."""

import functools
import hashlib
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from environments import environment, kept
from held import inspect_command
from ups.runfile.framing import FrameReader
from ups.runfile.records import Kind, find_payloads

MAKER = Path(__file__).with_name("made_runs.py")
VERSIONS = ("newest", "0.19")
"""The wandb of the tests' own environment, and the oldest whose files are read."""


def python_with_wandb(version: str) -> Path:
    """The interpreter of an environment with that wandb; it is made when it is first needed, in about 30 s."""
    if version == "newest":
        return Path(sys.executable)
    major, minor = version.split(".")
    return environment(f"wandb-{version}", [f"wandb>={version},<{major}.{int(minor) + 1}", "numpy", "pillow"])


def made_runs(version: str = "newest") -> Path:
    """The folder that holds every run of ``made_runs.py`` under its name."""
    return _made(version)


@functools.cache
def _made(version: str) -> Path:
    """They are made once for all test processes, and again when ``made_runs.py`` or wandb has changed."""
    python = python_with_wandb(version)
    content = hashlib.sha256(MAKER.read_bytes()).hexdigest()
    name = f"runs-{metadata.version('wandb') if version == 'newest' else version}"
    with kept(name, content) as (folder, new):
        if new:
            _make(python, folder)
            _make(python, folder, "killed", survives=False)
    return folder


def _make(python: Path, folder: Path, *names: str, survives: bool = True) -> None:
    done = subprocess.run(
        [python, MAKER, folder, *names],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, "WANDB_ERROR_REPORTING": "false"},
    )
    assert (done.returncode == 0) is survives, done.stderr


def wandb_file(name: str, version: str = "newest") -> Path:
    """The ``.wandb`` file of a made run."""
    (file,) = (made_runs(version) / name / "wandb").glob("offline-run-*/run-*.wandb")
    return file


def row_offsets(file: Path) -> list[int]:
    """Where each row's record begins in a ``.wandb`` file."""
    return [
        at
        for batch in FrameReader(file)
        for at, kind in zip(batch.offsets.tolist(), find_payloads(batch).kind.tolist(), strict=True)
        if kind == Kind.HISTORY
    ]


@functools.cache
def inspect_made(name: str, version: str) -> list[dict[str, Any]]:
    """Every record that ``wandb leet inspect`` reads from a made run."""
    return inspect(wandb_file(name, version))[0]


def inspect(file: Path) -> tuple[list[dict[str, Any]], str]:
    """Every record that ``wandb leet inspect`` reads from a file, and what it says on stderr."""
    done = subprocess.run(inspect_command(file), capture_output=True, text=True, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr
