"""``ups evaluate`` as a person meets it: in a process of its own, on a run that is there."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from held import read_held

SMALL = ["data.points=32", "data.train_trajectories=8", "model.dilated.dilations=[1, 2]"]
MODELS = ["operator", "diffusion_residual", "consistency_distill", "control"]


def ups(*arguments: str, folder: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Run ``ups`` in a folder, tracked offline."""
    done = subprocess.run(
        [sys.executable, "-m", "ups", *arguments],
        cwd=folder,
        env=os.environ | {"WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    return done


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of the smoke preset made smaller."""
    folder = tmp_path_factory.mktemp("trained")
    ups("train", "--preset", "smoke", *(part for key in SMALL for part in ("--set", key)), folder=folder)
    (found,) = (folder / "ups-runs").iterdir()
    return found


def test_it_prints_and_keeps_every_score_with_its_standard_error(run_dir: Path, tmp_path: Path) -> None:
    """One JSON object on stdout, the same beside the checkpoints, the scores in the summary and a table of them."""
    printed = json.loads(ups("evaluate", str(run_dir), "--format", "json", folder=tmp_path).stdout)
    assert printed["trajectories"] == 96
    assert printed["solver_step_ms"] > 0
    assert [model["name"] for model in printed["models"]] == MODELS
    assert [model["nfe"] for model in printed["models"]] == [1, 4, 2, 1]
    held = read_held(run_dir)
    for model in printed["models"]:
        for score in ("one_step_l2", "ct", "low", "mid", "high", "logspec", "rollout_20", "rollout_50", "rollout_100"):
            assert math.isfinite(model[score])
            assert 0 <= model["se"][score] < max(1, model[score])
            assert held.summary[f"eval/{model['name']}/{score}"] == pytest.approx(model[score])
        assert model["step_ms"] > 0
    kept = json.loads((run_dir / "checkpoints" / "evaluation.json").read_text())
    assert kept == printed
    assert sum("eval/models" in name for row in held.rows for name in row) >= 2


def test_a_run_that_trained_nothing_is_refused(tmp_path: Path) -> None:
    """A directory without a run, and a run without a finished stage, are said in one line."""
    errors = ups("evaluate", "nowhere", folder=tmp_path, expect=2).stderr.splitlines()
    assert len(errors) == 1
    assert "nowhere is no run of 'ups train'" in errors[0]
