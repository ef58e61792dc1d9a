"""A training with the ``smoke`` preset, run as a user runs it, for every test that looks at a whole one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from environments import THIS_SESSION, kept

__all__ = ["smoke_training"]


def smoke_training() -> tuple[Path, str]:
    """The directory of its run, tracked offline, and what it printed. Who changes the run copies it first."""
    with kept("smoke-training", THIS_SESSION) as (folder, new):
        printed = folder / "printed.txt"
        if new:
            environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "UPS_"))}
            done = subprocess.run(
                [sys.executable, "-m", "ups", "train", "--preset", "smoke", "--mode", "offline"],
                cwd=folder,
                env=environment | {"HOME": str(folder)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            printed.write_text(done.stdout + done.stderr, encoding="utf-8")
    (run_dir,) = (folder / "ups-runs").iterdir()
    return run_dir, printed.read_text(encoding="utf-8")
