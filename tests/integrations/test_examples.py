"""The examples, each run as its first lines say, end with every chart full in what W&B holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from held import read_held
from ups.check import Verdict, check_run
from ups.runs import find_runs, read_run

EXAMPLES = Path(__file__).parents[2] / "examples"
BESIDE = Path(sys.executable).parent  # where `ups` and `torchrun` are


def run(*command: str | Path, **environment: str) -> None:
    """Run a command as a person in this environment would, without an account."""
    known = {**os.environ, "PATH": f"{BESIDE}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        env={**known, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def full_steps(folder: Path) -> dict[str, int]:
    """How many points each chart named ``loss`` of the one run in ``folder`` has; all its charts must be full."""
    (found,) = find_runs(folder)
    check = check_run(read_run(found))
    assert {chart.verdict for chart in check.charts} == {Verdict.FULL}
    assert check.findings == ()
    held = read_held(folder)
    counts = {}
    for chart in check.charts:
        if chart.metric.endswith("loss"):
            assert chart.points == len(held.points(chart.metric, chart.axis))
            counts[chart.metric.removeprefix("training/")] = chart.points
    return counts


@pytest.mark.parametrize(
    ("example", "losses"),
    [
        ("plain_loop", {"operator/loss": 100, "distill/loss": 60}),
        (
            "lightning_two_stages",
            {
                "pretrain/train/loss": 20,
                "pretrain/val/loss": 5,
                "finetune/train/loss": 12,
                "finetune/val/loss": 3,
            },
        ),
        (
            "transformers_two_trainers",
            {"pretrain/loss": 20, "pretrain/eval/loss": 5, "finetune/loss": 12, "finetune/eval/loss": 3},
        ),
        ("accelerate_stages", {"operator/loss": 30, "diffusion_residual/loss": 20, "consistency_distill/loss": 10}),
    ],
)
def test_an_example_ends_with_every_chart_full(example: str, losses: dict[str, int]) -> None:
    """``python <example>.py`` gives one run with all steps of all stages."""
    run(sys.executable, EXAMPLES / f"{example}.py")
    assert full_steps(Path("ups-runs")) == losses


def test_the_test_of_the_plain_loop_passes() -> None:
    """The command in its first lines; the run stays in pytest's folder."""
    run(sys.executable, "-m", "pytest", "-c", os.devnull, EXAMPLES / "test_plain_loop.py")
    assert not Path("ups-runs").exists()


def test_torchrun_ends_with_every_ranks_charts_full() -> None:
    """The command in the example's first lines gives one run with both ranks' losses."""
    run("torchrun", "--standalone", "--nproc-per-node", "2", EXAMPLES / "torchrun_ranks.py")
    assert full_steps(Path("ups-runs")) == {"operator/loss": 40, "operator/rank1/loss": 40}


def test_a_slurm_array_is_journaled_and_delivered_from_the_login_node() -> None:
    """Each task journals a run without W&B; the login node's script brings all there, and called again doubles none."""
    folder = EXAMPLES / "slurm_array"
    Path("train.py").write_text((folder / "train.py").read_text())
    for task in ("0", "1"):
        slurm = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": task, "SLURM_SUBMIT_DIR": str(Path.cwd())}
        run("bash", folder / "train.sbatch", **slurm)
    runs = [Path("ups-runs", f"array-77-{task}") for task in (0, 1)]
    assert not any((path / "wandb").exists() for path in runs)
    for _ in range(2):
        run("bash", folder / "deliver.sh", "--mode", "offline")
    for number, path in enumerate(runs):
        assert full_steps(path) == {"operator/loss": 50, "distill/loss": 50}
        assert read_held(path).config["task"] == number


def test_the_notebook_ends_with_every_chart_full(tmp_path: Path) -> None:
    """Its cells, one after another in one namespace, give one run with both stages."""
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    source = tmp_path / "cells.py"
    source.write_text(f"space = {{}}\nfor cell in {cells!r}:\n    exec(cell, space)\n", encoding="utf-8")
    run(sys.executable, source)
    assert full_steps(Path("ups-runs")) == {"operator/loss": 100, "distill/loss": 60}
