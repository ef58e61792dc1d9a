"""Runs made by others' loggers: the check is right about them, its fix works, and so do the repair and the guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from alone import run_alone
from environments import THIS_SESSION, kept
from held import read_held
from ups.check import RunCheck, Verdict, check_run
from ups.repair import plan_repair, write_repair
from ups.runs import open_run

SCRIPTS = Path(__file__).with_name("other_loggers")
TRAINER_CHARTS = {
    "lightning_two_fits": {"train/loss": 32, "val/loss": 8, "epoch": 40},
    "transformers_two_trainings": {
        "train/loss": 32,
        "train/grad_norm": 32,
        "train/learning_rate": 32,
        "train/epoch": 42,
        "eval/loss": 8,
        "eval/runtime": 8,
        "eval/samples_per_second": 8,
        "eval/steps_per_second": 8,
    },
}
AXES = {"lightning_two_fits": "trainer/global_step", "transformers_two_trainings": "train/global_step"}


ONE_LINE = "import ups; ups.guard()"
"""What turns a script into the one with a guard, put below its first line."""


BOTH = """
import os, runpy, sys
from {frameworks} import *
assert not {{"ups", "wandb"}} & sys.modules.keys()
for folder in ("alone", "guarded"):
    if os.fork() == 0:
        os.chdir(folder)
        runpy.run_path("train.py", run_name="__main__")
        break
    _, status = os.wait()
    assert status == 0, folder
"""
"""Runs a script of each folder in a fork of a process that has imported the framework, which takes seconds."""
FRAMEWORKS = {
    "lightning_two_fits": "lightning.pytorch.loggers",
    "transformers_two_trainings": "transformers.trainer",
    "accelerate_three_stages": "accelerate",
}


def made_by(script: str, line: str = "") -> Path:
    """The folder with the runs that a script made, with one line more: ``usual`` and ``fixed``."""
    with kept(f"by-{script}", THIS_SESSION) as (folder, new):
        if new:
            _make(script, folder)
    return folder / ("guarded" if line else "alone")


def _make(script: str, folder: Path) -> None:
    docstring, *rest = (SCRIPTS / f"{script}.py").read_text(encoding="utf-8").splitlines()
    for name, line in (("alone", ""), ("guarded", ONE_LINE)):
        (folder / name).mkdir()
        (folder / name / "train.py").write_text("\n".join([docstring, line, *rest]), encoding="utf-8")
    run_alone(folder, "-c", BOTH.format(frameworks=FRAMEWORKS[script]), HF_HUB_OFFLINE="1", WANDB_SILENT="true")


def check(script: str, run: str, line: str = "") -> RunCheck:
    """The check of a run that a script made."""
    return check_run(open_run(made_by(script, line) / run))


@pytest.mark.parametrize("script", AXES)
def test_a_trainer_that_runs_twice_folds_every_chart_back(script: str) -> None:
    """With two trainings in one run, every chart of the trainer goes back once, where its own step starts again."""
    found = check(script, "usual")
    assert {chart.metric: chart.points for chart in found.charts} == TRAINER_CHARTS[script]
    assert {(chart.verdict, chart.axis) for chart in found.charts} == {(Verdict.BACKWARDS, AXES[script])}
    backwards = [finding for finding in found.findings if finding.code == "backwards"]
    assert {finding.metric: finding.count for finding in backwards} == dict.fromkeys(TRAINER_CHARTS[script], 1)
    assert all("offset + step" in finding.fix for finding in backwards)


@pytest.mark.parametrize("script", AXES)
def test_a_trainer_that_counts_on_has_full_charts(script: str) -> None:
    """With the fix that the check names, every chart has all its points and is full, without a finding."""
    found = check(script, "fixed")
    assert {chart.metric: chart.points for chart in found.charts} == TRAINER_CHARTS[script]
    assert {chart.verdict for chart in found.charts} == {Verdict.FULL}
    assert found.findings == ()


@pytest.mark.parametrize("script", AXES)
def test_a_trainers_run_is_repaired(script: str, tmp_path: Path) -> None:
    """The repair keeps the second training as far as it went and the rest of the first, every chart full."""
    plan = plan_repair(open_run(made_by(script) / "usual"))
    (folder,) = write_repair(plan, tmp_path).folders
    repaired = check_run(open_run(folder))
    assert {chart.verdict for chart in repaired.charts} == {Verdict.FULL}
    before = read_held(made_by(script) / "usual").points("train/loss", AXES[script])
    assert len(before) == 32
    assert read_held(folder).points("train/loss", AXES[script]) == before[20:] + before[12:20]


def test_accelerate_with_a_step_loses_the_later_stages() -> None:
    """With ``step=`` from 0 in each stage, W&B holds the first stage alone, and the check counts what was dropped."""
    found = check("accelerate_three_stages", "usual")
    assert [(chart.metric, chart.points) for chart in found.charts] == [("training/operator/loss", 30)]
    (lost,) = (finding for finding in found.findings if finding.code == "lost-rows")
    assert lost.count == 30
    assert "at step=0 when W&B's own step was 29" in lost.message
    assert "without step=" in lost.fix
    plan = plan_repair(open_run(made_by("accelerate_three_stages") / "usual"))
    assert (plan.changes_nothing, plan.lost) == (True, 30)


def test_accelerate_without_a_step_has_full_charts() -> None:
    """With each stage's step logged as data and no ``step=``, every stage's chart is full."""
    found = check("accelerate_three_stages", "fixed")
    points = {"operator": 30, "diffusion_residual": 20, "consistency_distill": 10}
    assert {chart.stage: chart.points for chart in found.charts} == points
    assert {chart.verdict for chart in found.charts} == {Verdict.FULL}
    assert found.findings == ()


@pytest.mark.parametrize("script", AXES)
def test_a_guarded_trainer_that_runs_twice_has_full_charts(script: str) -> None:
    """With one line more, the second training is a part of its own: every chart full, every step of both there."""
    found = check(script, "usual", ONE_LINE)
    assert {chart.verdict for chart in found.charts} == {Verdict.FULL}
    assert found.findings == ()
    first = {chart.metric: chart for chart in found.charts if not chart.metric.startswith("part2/")}
    second = {chart.metric.removeprefix("part2/"): chart for chart in found.charts if chart.metric not in first}
    assert {name: chart.points + second[name].points for name, chart in first.items()} == TRAINER_CHARTS[script]
    assert {chart.axis for chart in first.values()} == {AXES[script]}
    assert {chart.axis for chart in second.values()} == {f"part2/{AXES[script]}"}
    held, start = read_held(made_by(script, ONE_LINE) / "usual"), int(script.startswith("transformers"))
    assert [x for x, _ in held.points("train/loss", AXES[script])] == list(range(start, 20 + start))
    assert [x for x, _ in held.points("part2/train/loss", f"part2/{AXES[script]}")] == list(range(start, 12 + start))


@pytest.mark.parametrize("script", AXES)
def test_a_guard_leaves_a_trainer_that_counts_on_alone(script: str) -> None:
    """The run with the fix has the same charts and definitions with a guard as without."""
    found = check(script, "fixed", ONE_LINE)
    assert {chart.metric: chart.points for chart in found.charts} == TRAINER_CHARTS[script]
    plain, guarded = (read_held(made_by(script, line) / "fixed") for line in ("", ONE_LINE))
    assert [row.keys() for row in guarded.rows] == [row.keys() for row in plain.rows]
    assert guarded.metrics == plain.metrics


def test_a_guarded_accelerate_keeps_the_later_stages() -> None:
    """With one line more, ``step=`` from 0 in each stage loses nothing: every stage's chart is full."""
    found = check("accelerate_three_stages", "usual", ONE_LINE)
    assert {chart.verdict for chart in found.charts} == {Verdict.FULL}
    assert found.findings == ()
    held = read_held(made_by("accelerate_three_stages", ONE_LINE) / "usual")
    assert [x for x, _ in held.points("training/operator/loss", "_step")] == list(range(30))
    assert [x for x, _ in held.stage("diffusion_residual")] == list(range(20))
    assert [x for x, _ in held.stage("consistency_distill")] == list(range(10))


def test_a_guard_leaves_an_accelerate_without_a_step_alone() -> None:
    """The run with each stage's step in its rows holds the same with a guard as without."""
    plain, guarded = (read_held(made_by("accelerate_three_stages", line) / "fixed") for line in ("", ONE_LINE))
    assert [row.keys() for row in guarded.rows] == [row.keys() for row in plain.rows]
    assert guarded.metrics == plain.metrics
