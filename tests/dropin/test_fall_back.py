"""With a wandb that the drop-in does not know, the guard in the process takes over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alone import run_alone

SCRIPT = """
import sys, wandb
wandb.__version__ = sys.argv[1]
import ups.wandb as wandb
for name in ("one", "two"):
    run = wandb.init(mode="offline", project="p", id=name)
    for stage, steps in {"a": 5, "b": 3}.items():
        for step in range(steps):
            run.log({f"{stage}/loss": 1 / (step + 1)}, step=step)
    run.finish()
"""


@pytest.mark.parametrize("version", ["0.20.1", "0.32.0", "1.0.0rc1"])
def test_an_unknown_wandb_is_guarded_in_the_process(version: str, tmp_path: Path) -> None:
    """Every chart is full, wandb itself writes the run, and one line reports it."""
    done = run_alone(tmp_path, "-c", SCRIPT, version)
    (line,) = (line for line in done.stderr.splitlines() if "not journaled" in line)
    assert line.startswith(
        "ups: runs are guarded in this process, and their rows are not journaled: that needs wandb 0."
    )
    assert line.endswith(f", and {version} is installed")
    assert not (tmp_path / "ups-runs").exists()
    command = [sys.executable, "-m", "ups", "check", str(tmp_path / "wandb"), "--format", "json"]
    checked = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout)
    points = [{chart["metric"]: chart["points"] for chart in run["charts"]} for run in checked["runs"]]
    assert points == [{"a/loss": 5, "b/loss": 3}] * 2
