"""``ups evaluate`` on a run that is there."""

import json
import math
import shutil
import sys
from pathlib import Path

import pytest

from held import read_held
from smoke_training import smoke_training
from ups.cli import main

MODELS = ["operator", "diffusion_residual", "consistency_distill", "control"]


def test_it_prints_and_keeps_every_score_with_its_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One JSON object on stdout, the same beside the checkpoints, the scores in the summary and a table of them."""
    trained, _ = smoke_training()
    run_dir = shutil.copytree(trained, tmp_path / trained.name, symlinks=True)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(sys, "argv", ["ups", "evaluate", str(run_dir), "--format", "json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    printed = json.loads(capsys.readouterr().out)
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


def test_a_run_that_trained_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory without a run, and a run without a finished stage, are said in one line."""
    trained, _ = smoke_training()
    checkpoints = Path("begun/checkpoints")
    checkpoints.mkdir(parents=True)
    shutil.copy(trained / "checkpoints" / "config.json", checkpoints)
    for run, message in (("nowhere", "nowhere is not a run of 'ups train'"), ("begun", "no stage that is trained to")):
        monkeypatch.setattr(sys, "argv", ["ups", "evaluate", run])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert message in error
