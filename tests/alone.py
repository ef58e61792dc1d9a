"""A command of Python in a folder of its own, as on a machine where nobody has configured W&B or UPS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["run_alone"]


def run_alone(
    folder: Path, *command: str | Path, python: str | Path = sys.executable, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it with ``folder`` as its home and working directory, and ``variables`` over the rest; it must succeed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
    done = subprocess.run(
        [python, *command],
        cwd=folder,
        env=inherited | {"HOME": str(folder), "WANDB_ERROR_REPORTING": "false"} | variables,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
