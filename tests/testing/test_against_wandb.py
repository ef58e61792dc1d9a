"""The recorder held against the real client: the same calls give the same charts, points, verdicts and findings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import wandb

import loops_people_write
from check import media_runs
from environments import made_by
from guard.loops import open_run as open_run_of_wandb
from guard.made_loops import Call, made, play
from guard.test_model import raw
from runfile import made_runs
from runfile.real_runs import made_runs as real_runs
from ups.check import RunCheck, Verdict, check_run
from ups.dropin.turn_on import knows
from ups.runs import open_run
from ups.testing.recorder import recorded

pytestmark = pytest.mark.skipif(not knows(wandb.__version__), reason="its runs are not journaled")
ELSEWHERE = {"killed", "ambiguous_once"}
"""A run that ends with its process, and one whose axis wandb chooses by chance."""


def found(check: RunCheck) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The charts of a check, and its findings, in one order."""
    charts = [
        (
            chart.metric,
            None if chart.verdict is Verdict.AMBIGUOUS_AXIS else chart.axis,  # which wandb chooses by chance
            chart.rows,
            chart.points,
            str(chart.verdict),
        )
        for chart in check.charts
    ]
    findings = [
        (each.code, each.metric, each.count, each.message, each.cause, each.fix, each.severity)
        for each in check.findings
    ]
    return sorted(charts), sorted(findings, key=str)


def recorded_check(loop: Callable[[Any], None], folder: Path, run_id: str) -> RunCheck:
    """The check of a loop's run by the recorder."""
    with recorded(folder) as charts:
        run = wandb.init(project="loops", id=run_id)
        loop(run)
        run.finish()
        (check,) = charts.checks
    return check


@pytest.mark.parametrize("name", loops_people_write.LOOPS)
def test_loops_that_people_write(name: str, tmp_path: Path) -> None:
    """Lost rows, axes that go back, that are filled in, that are never logged."""
    real = check_run(open_run(made_by("loops", Path(loops_people_write.__file__)) / name / "wandb"))
    assert found(recorded_check(loops_people_write.LOOPS[name], tmp_path, name)) == found(real)


@pytest.mark.parametrize("name", [name for name in made_runs.CASES if name not in ELSEWHERE])
def test_runs_with_each_finding(name: str, tmp_path: Path) -> None:
    """A run for each verdict and finding, and near misses."""
    real = check_run(open_run(real_runs() / name / "wandb"))
    assert found(recorded_check(made_runs.CASES[name], tmp_path, real.run_id)) == found(real)


@pytest.mark.parametrize("name", [name for name in media_runs.CASES if name != "sessions"])
def test_runs_with_media(name: str, tmp_path: Path) -> None:
    """Tables and images: those that W&B does not show, and those that no row names."""
    real = check_run(open_run(made_by("media", Path(media_runs.__file__)) / name / "wandb"))
    assert found(recorded_check(media_runs.CASES[name], tmp_path, name)) == found(real)


@pytest.mark.parametrize("script", [made, raw])
@pytest.mark.parametrize(("first", "count"), [(0, 4), pytest.param(4, 100, marks=pytest.mark.soak)])
def test_generated_calls(script: Callable[[Random], list[Call]], first: int, count: int, tmp_path: Path) -> None:
    """The open row, ``step=``, ``commit=``, lost rows, axes that are filled in, and values that are not finite."""
    for seed in range(first, first + count):
        run = open_run_of_wandb(tmp_path / f"{seed}", reinit="create_new", id=f"seed{seed}")
        play(script(Random(seed)), run)
        run.finish()
    wandb.teardown()
    for seed in range(first, first + count):
        real = open_run(tmp_path / f"{seed}")
        if not any(real.axis(metric).candidates for metric in real.metrics):  # W&B chooses by chance
            ours = recorded_check(partial(play, script(Random(seed))), tmp_path / f"ours{seed}", f"seed{seed}")
            assert found(ours) == found(check_run(real)), seed
