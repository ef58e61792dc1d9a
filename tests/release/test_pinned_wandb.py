"""A training's environment that pins an old wandb: installing UPS leaves it, and its protobuf, as they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from environments import pip
from release.archives import built
from ups.installed_wandb import OLDEST

pytestmark = [pytest.mark.release, pytest.mark.timeout(900)]

TRAINING = """
import ups
with ups.create_wandb_context({"lr": 0.1}, mode="offline", stages=["operator"]) as ctx:
    for step in range(30):
        ctx.stage("operator").log(step, loss=1 / (step + 1))
"""


def installed(python: Path) -> dict[str, str]:
    """The version of each package in an environment."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "list", "--format=freeze"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("==", 1) for line in listed.split())


def test_ups_changes_no_package_of_the_training(tmp_path: Path) -> None:
    """wandb and protobuf stay, ``pip check`` is clean, and UPS tracks there."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin" / "python"
    pip("--python", python, "install", f"wandb=={OLDEST}")
    before = installed(python)
    pip("--python", python, "install", f"{built().wheel}[wandb]")
    after = installed(python)
    assert {name: after[name] for name in before} == before
    assert (before["wandb"], before["protobuf"].split(".")[0]) == (OLDEST, "6")
    pip("--python", python, "check")
    done = subprocess.run([python, "-c", TRAINING], capture_output=True, text=True, check=True)
    assert "1 of 1 charts full" in done.stderr
