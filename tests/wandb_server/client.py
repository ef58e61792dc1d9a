"""Processes that log to the server: the wandb client in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from wandb.cli.cli import sync

from .server import WandBServer

SYNCS_IN_PYTHON = any(
    "--append" in option.opts and "legacy" not in (getattr(option, "help", None) or "") for option in sync.params
)
"""Whether `wandb sync` is the one in Python that wandb had before 0.28, by its options."""


def start_process(
    server: WandBServer,
    directory: Path,
    command: Sequence[str | Path],
    *,
    quick: bool = True,
    python: str | Path = sys.executable,
    **variables: str,
) -> subprocess.Popen[str]:
    """Start a command of Python in `directory`, without this process's W&B variables and with those of the server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment = inherited | server.environment(directory, quick=quick) | variables
    return subprocess.Popen(
        [python, *command],
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def start_client(
    server: WandBServer, directory: Path, script: str, *arguments: str, quick: bool = True, **variables: str
) -> subprocess.Popen[str]:
    """Start a Python script, given as text."""
    command = ["-c", textwrap.dedent(script), *arguments]
    return start_process(server, directory, command, quick=quick, **variables)


def run_client(
    server: WandBServer, directory: Path, script: str, *arguments: str, quick: bool = True, **variables: str
) -> str:
    """Run a Python script, given as text, and return what it printed; it must succeed."""
    return _output(start_client(server, directory, script, *arguments, quick=quick, **variables))


def run_sync(server: WandBServer, directory: Path, *arguments: str | Path) -> str:
    """Run `wandb sync` and return what it printed. Its exit status is 0 even when it fails.

    Before wandb 0.28, it needs `--append` for a run that has several folders.
    """
    several = len(arguments) > 1 and SYNCS_IN_PYTHON
    return _output(start_process(server, directory, ["-m", "wandb", "sync", *["--append"] * several, *arguments]))


def word_after(output: str, mark: str) -> str:
    """What a client printed after a mark, to the end of that line."""
    return output.split(f"{mark} ", 1)[1].splitlines()[0]


def _output(process: subprocess.Popen[str], timeout: float = 300.0) -> str:
    try:
        printed, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, printed
    return printed
