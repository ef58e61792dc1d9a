"""The fixture ``wandb_charts`` in this process: what it sees, what it answers, and that wandb is then as it was."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import wandb
from wandb.sdk import wandb_init, wandb_setup

import ups
from held import read_held
from ups.check import check_run
from ups.dropin.turn_on import knows, turn_on
from ups.errors import UsageError
from ups.runs import open_run
from ups.testing import WandbCharts
from ups.testing.recorder import recorded

pytestmark = pytest.mark.skipif(not knows(wandb.__version__), reason="its runs are not journaled")
STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}


def log_stages(run: Any, *, step_metric: bool, step: bool) -> None:
    """The seed's three stages, each counted from 0."""
    for stage in STAGES:
        run.define_metric(f"training/{stage}/*", step_metric=f"training/{stage}/step")
    for stage, steps in STAGES.items():
        for at in range(steps):
            row = {f"training/{stage}/loss": 1 / (at + 1)}
            if step_metric:
                row[f"training/{stage}/step"] = at
            if step:
                run.log(row, step=at)
            else:
                run.log(row)


def points(charts: WandbCharts) -> dict[str, tuple[str, int]]:
    """The verdict and the points of each stage's loss."""
    losses = {stage: charts[f"training/{stage}/loss"] for stage in STAGES}
    return {stage: (str(chart.verdict), chart.points) for stage, chart in losses.items()}


FULL = {stage: ("full", steps) for stage, steps in STAGES.items()}


@pytest.mark.parametrize(
    ("step_metric", "step", "operator"),
    [(False, True, ("frozen", 100)), (True, True, ("full", 100))],
    ids=["metric, step=", "metric and step metric, step="],
)
def test_a_stage_that_step_drops_is_found(
    wandb_charts: WandbCharts, step_metric: bool, step: bool, operator: tuple[str, int]
) -> None:
    """With the finding that names the cause, and its numbers."""
    log_stages(wandb.init(), step_metric=step_metric, step=step)
    missing = ("never-logged", 0)
    assert points(wandb_charts) == {
        "operator": operator,
        "diffusion_residual": missing,
        "consistency_distill": missing,
    }
    with pytest.raises(AssertionError, match="not every chart is full") as failed:
        wandb_charts.assert_all_full()
    text = str(failed.value)
    assert "lost-rows  wandb dropped 80 calls of log(), the first at step=0 when W&B's own step was 99" in text
    assert "why: step= counted from 0 again, while W&B's own step was 99" in text
    assert "fix: run.log({" in text
    assert "\x1b" not in text


def test_stages_that_log_their_step_metric_are_full(wandb_charts: WandbCharts) -> None:
    """Without step=; the run may still be open."""
    log_stages(wandb.init(), step_metric=True, step=False)
    wandb_charts.assert_all_full()
    assert points(wandb_charts) == FULL


def test_stages_through_ups_are_full(wandb_charts: WandbCharts) -> None:
    """Also where they ask to be online: nothing is delivered."""
    ctx = ups.create_wandb_context({"lr": 0.1}, stages=list(STAGES), mode="online")
    for stage, steps in STAGES.items():
        for step in range(steps):
            ctx.stage(stage).log(step, loss=1 / (step + 1))
    wandb_charts.assert_all_full()
    assert points(wandb_charts) == FULL
    assert ctx.mode == "local"
    report = ctx.finish()
    assert report is not None
    assert len(report.charts) == 3
    wandb_charts.assert_all_full()


def test_what_is_logged_after_a_look_is_seen(wandb_charts: WandbCharts) -> None:
    """Also the values of a row that is open at each look."""
    run = wandb.init()
    for step in range(5):
        run.log({"loss": 1 / (step + 1)}, step=step)
        assert wandb_charts["loss"].points == step + 1
        run.log({"acc": step}, step=step)
        assert wandb_charts["acc"].points == step + 1
    assert wandb_charts["loss"].verdict == "full"
    assert list(wandb_charts) == ["loss", "acc"]
    assert len(wandb_charts) == 2
    assert "loss" in wandb_charts
    assert "other" not in wandb_charts
    wandb_charts.assert_all_full()


def test_several_runs(wandb_charts: WandbCharts) -> None:
    """A name that one run has is found; one that several have is asked of a run."""
    for name in ("first", "second"):
        with wandb.init(name=name) as run:
            for step in range(3):
                run.log({"loss": step, f"{name}/acc": step})
    assert wandb_charts["second/acc"].points == 3
    with pytest.raises(UsageError, match=r"2 runs have a chart 'loss': .*charts\.runs\[0\]\['loss'\]"):
        wandb_charts["loss"]
    assert [charts["loss"].points for charts in wandb_charts.runs] == [3, 3]
    assert [check.name for check in wandb_charts.checks] == ["first", "second"]
    wandb_charts.assert_all_full()


def test_an_unknown_name_lists_those_there_are(wandb_charts: WandbCharts) -> None:
    """Before a run, in one without a row, and then."""
    for ask in (lambda: wandb_charts["loss"], wandb_charts.assert_all_full):
        with pytest.raises((UsageError, AssertionError), match="no run has begun in this test"):
            ask()
    run = wandb.init()
    for ask in (lambda: wandb_charts["loss"], wandb_charts.assert_all_full):
        with pytest.raises((UsageError, AssertionError), match="no chart was logged"):
            ask()
    run.log({"train/loss": 1.0, "train/acc": 1.0})
    with pytest.raises(UsageError, match="there is no chart 'loss': the charts are train/loss, train/acc"):
        wandb_charts["loss"]


def test_a_run_that_is_disabled_is_none(wandb_charts: WandbCharts) -> None:
    """As the code asks for it."""
    wandb.init(mode="disabled").log({"loss": 1.0})
    ups.create_wandb_context(mode="disabled").stage("a").log(0, loss=1.0)
    assert len(wandb_charts) == 0


def test_a_run_that_resumes_is_one_run(wandb_charts: WandbCharts) -> None:
    """Its steps continue, as they do online."""
    for epochs in (range(5), range(5, 10)):
        with wandb.init(id="again", resume="allow", mode="online") as run:
            assert run.step == epochs.start
            for epoch in epochs:
                run.log({"loss": 1 / (epoch + 1)})
    (check,) = wandb_charts.checks
    assert check.run_id == "again"
    assert wandb_charts["loss"].points == 10
    wandb_charts.assert_all_full()


def test_a_shared_run_is_recorded_like_any_other(wandb_charts: WandbCharts) -> None:
    """It asks no server."""
    run = wandb.init(mode="shared")
    run.log({"loss": 1.0})
    assert wandb_charts["loss"].points == 1


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_child_process_logs_to_the_run(start: str, wandb_charts: WandbCharts) -> None:
    """As wandb's own process takes its rows."""
    run = wandb.init()
    run.log({"loss": 1.0})
    processes: Any = multiprocessing.get_context(start)
    child = processes.Process(target=run.log, args=({"child": 2.0},))
    child.start()
    child.join()
    assert child.exitcode == 0
    run.log({"loss": 0.5})
    assert (wandb_charts["loss"].points, wandb_charts["child"].points) == (2, 1)
    assert len(wandb_charts.runs) == 1


@pytest.mark.parametrize("guard", ["the run", "every run", "before"])
def test_code_with_a_guard_has_the_rows_of_the_guard(guard: str, tmp_path: Path) -> None:
    """As W&B would hold them."""
    outer = turn_on() if guard == "before" else None
    with recorded(tmp_path) as charts:
        inner = ups.guard() if guard == "every run" else None
        run = wandb.init()
        if guard == "the run":
            ups.guard(run)
        log_stages(run, step_metric=False, step=True)
        charts.assert_all_full()
        if inner is not None:
            inner.release()
            run.finish()
            log_stages(wandb.init(), step_metric=False, step=True)
            assert [finding.code for finding in charts.findings].count("lost-rows") == 1
    if outer is not None:
        assert wandb_init._WandbInit.init.__module__ == "ups.dropin.seam"
        outer.release()
    assert wandb_init._WandbInit.init.__module__ == "wandb.sdk.wandb_init"


def test_the_drop_in_that_the_code_turns_on_outlives_the_test(tmp_path: Path) -> None:
    """A module is imported once, for all tests."""
    with recorded(tmp_path):
        held = turn_on()
    try:
        assert wandb_init._WandbInit.init.__module__ == "ups.dropin.seam"
    finally:
        held.release()
    assert wandb_init._WandbInit.init.__module__ == "wandb.sdk.wandb_init"


def test_wandb_is_then_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts, its run, its settings, the environment and the hooks; also where the test fails with open runs."""
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    hooks, environment, setup = (sys.excepthook, sys.exit), dict(os.environ), wandb_setup.singleton()
    parts = (dict(vars(wandb_init._WandbInit)), dict(vars(wandb_setup._WandbSetup)), vars(wandb_init)["Run"])
    shared = {name: getattr(wandb, name) for name in ("run", "log", "config", "summary", "define_metric", "alert")}

    def fail() -> None:
        with recorded(tmp_path):
            run = wandb.init()
            assert run.project == "mine"
            wandb.log({"loss": 1.0})
            wandb.setup()
            ups.create_wandb_context()
            os.environ["WANDB_NAME"] = "of the test"
            sys.excepthook = lambda *error: None  # as wandb does where it starts its own process
            raise RuntimeError("it failed")

    with pytest.raises(RuntimeError, match="it failed"):
        fail()
    assert (sys.excepthook, sys.exit) == hooks
    assert dict(os.environ) == environment
    assert wandb_setup.singleton() is setup
    assert (dict(vars(wandb_init._WandbInit)), dict(vars(wandb_setup._WandbSetup)), vars(wandb_init)["Run"]) == parts
    assert {name: getattr(wandb, name) for name in shared} == shared
    assert wandb.run is None


def test_a_run_outside_the_test_stays_open(tmp_path: Path) -> None:
    """As of a fixture of the whole session, with wandb's own process."""
    outside = wandb.init(mode="offline", dir=tmp_path / "outside", settings=wandb.Settings(silent=True, console="off"))
    processes = {child.pid for child in psutil.Process().children(recursive=True)}
    with recorded(tmp_path) as charts:
        assert wandb.run is None
        wandb.init().log({"loss": 1.0})
        assert {child.pid for child in psutil.Process().children(recursive=True)} <= processes
        assert len(charts) == 1
    assert wandb.run is outside
    wandb.log({"outside": 1.0})
    outside.finish()
    wandb.teardown()
    assert [row["outside"] for row in read_held(tmp_path / "outside").rows] == [1.0]


def test_the_run_directory_gives_the_same_verdicts(wandb_charts: WandbCharts, tmp_path: Path) -> None:
    """To ``ups check`` and ``ups show``: no guard changes the rows."""
    with wandb.init(dir=tmp_path) as run:
        log_stages(run, step_metric=False, step=True)
    (check,) = wandb_charts.checks
    assert check.path.parent == tmp_path / "ups-runs"
    read = check_run(open_run(check.path))
    assert (read.charts, read.findings) == (check.charts, check.findings)


def test_what_needs_the_server_at_once_is_refused(wandb_charts: WandbCharts) -> None:
    """Rather than to ask a real one."""
    with pytest.raises(UsageError, match=r"a test cannot record this run: fork_from= needs W&B's server"):
        wandb.init(fork_from="other?_step=3")
    assert len(wandb_charts) == 0
