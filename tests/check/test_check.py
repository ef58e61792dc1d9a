"""Each verdict on a run of the real client, and a near miss that does not get it."""

import random
import shutil
from pathlib import Path

import pytest

from runfile.real_runs import made_runs, wandb_file
from ups.check import RunCheck, Severity, Verdict, check_run
from ups.runfile import open_run

LOSS = "training/operator/loss"
VAL = "training/operator/val"
ALONE = "training/diffusion_residual/alone"


def check(name: str) -> RunCheck:
    """The check of a made run."""
    return check_run(open_run(made_runs() / name))


@pytest.mark.parametrize(
    ("name", "metric", "verdict", "rows", "points"),
    [
        ("staged", LOSS, Verdict.FULL, 100, 100),
        ("staged", "training/diffusion_residual/loss", Verdict.FULL, 50, 50),
        ("staged", "training/consistency_distill/loss", Verdict.FULL, 30, 30),
        ("naive", LOSS, Verdict.FROZEN, 100, 100),
        ("naive", "training/diffusion_residual/*", Verdict.NEVER_LOGGED, 0, 0),
        ("declared", LOSS, Verdict.FULL, 3, 3),
        ("declared", "training/diffusion_residual/*", Verdict.NEVER_LOGGED, 0, 0),
        ("empty", LOSS, Verdict.EMPTY, 5, 0),
        ("empty_near_miss", LOSS, Verdict.FULL, 5, 4),
        ("frozen", LOSS, Verdict.FROZEN, 5, 5),
        ("stale", LOSS, Verdict.STALE, 9, 9),
        ("lagging", LOSS, Verdict.LAGGING, 9, 9),
        ("lagging_near_miss", LOSS, Verdict.FULL, 9, 9),
        ("lagging_near_miss", VAL, Verdict.FULL, 3, 3),
        ("bare_steps", LOSS, Verdict.FULL, 9, 9),
        ("validated", LOSS, Verdict.FULL, 9, 9),
        ("validated", VAL, Verdict.FULL, 4, 4),
        ("backwards", LOSS, Verdict.BACKWARDS, 8, 8),
        ("single_point", "test/accuracy", Verdict.SINGLE_POINT, 1, 1),
        ("two_points", "test/accuracy", Verdict.FULL, 2, 2),
        ("not_numeric", "text", Verdict.NOT_NUMERIC, 2, 0),
        ("not_numeric", "none", Verdict.NOT_NUMERIC, 2, 0),
        ("not_numeric", "list", Verdict.NOT_NUMERIC, 2, 0),
        ("not_numeric", "mixed", Verdict.FULL, 3, 2),
        ("not_numeric", "yes", Verdict.FULL, 2, 2),
        ("not_finite", "some", Verdict.NOT_FINITE, 3, 2),
        ("not_finite", "all", Verdict.NOT_FINITE, 3, 0),
        ("not_finite", "large", Verdict.FULL, 3, 3),
        ("never_logged", LOSS, Verdict.NEVER_LOGGED, 0, 0),
        ("never_logged", "training/diffusion/*", Verdict.NEVER_LOGGED, 0, 0),
        ("never_logged", "other", Verdict.FULL, 2, 2),
        ("ambiguous", LOSS, Verdict.AMBIGUOUS_AXIS, 3, 3),
        ("ambiguous", "training/operator/exact", Verdict.FULL, 3, 3),
        ("globs_that_agree", LOSS, Verdict.FULL, 3, 3),
        ("orphan", "training/diffusion_residual/loss", Verdict.ORPHAN, 3, 3),
        ("orphan", ALONE, Verdict.FULL, 3, 3),
    ],
)
def test_the_verdict_of_a_chart(name: str, metric: str, verdict: Verdict, rows: int, points: int) -> None:
    """A chart's verdict, rows and points are what a person sees in W&B."""
    (chart,) = [chart for chart in check(name).charts if chart.metric == metric]
    assert (chart.verdict, chart.rows, chart.points) == (verdict, rows, points)


@pytest.mark.parametrize(
    "name", ["staged", "empty_near_miss", "two_points", "lagging_near_miss", "validated", "globs_that_agree"]
)
def test_a_good_run_has_no_findings(name: str) -> None:
    """Where every chart is full, nothing is found."""
    result = check(name)
    assert {chart.verdict for chart in result.charts} == {Verdict.FULL}
    assert (result.findings, result.worst, result.finished) == ((), None, True)


def test_a_finding_names_the_chart_the_numbers_the_cause_and_the_fix() -> None:
    """A finding says what is wrong with which chart, why, and the code that mends it."""
    (finding,) = check("frozen").findings
    assert (finding.code, finding.severity, finding.metric) == ("frozen", Severity.ERROR, LOSS)
    assert (finding.count, finding.repairable) == (5, True)
    assert finding.message == f"all 5 points of {LOSS} are at training/operator/step = 0"
    assert "training/operator/step was never logged" in finding.cause
    assert finding.fix == f'run.log({{"{LOSS}": value, "training/operator/step": step}})'


def test_stages_are_the_declared_ones_and_those_that_axes_show() -> None:
    """The stages of a run are named once each, declared ones first."""
    assert check("declared").stages == ("operator", "diffusion_residual")
    assert check("staged").stages == ("operator", "diffusion_residual", "consistency_distill")
    assert check("two_points").stages == ()


def test_dropped_rows_are_counted_from_the_runs_own_log(tmp_path: Path) -> None:
    """Calls that wandb dropped are an error with their number; a run copied without its logs has none."""
    (finding,) = check("lost").findings
    assert (finding.code, finding.severity, finding.count) == ("lost-rows", Severity.ERROR, 4)
    assert "the first at step=0 when the run stood at 9" in finding.message
    shutil.copy(wandb_file("lost"), tmp_path / "run-lost.wandb")
    assert check_run(open_run(tmp_path)).findings == ()


def test_what_was_never_logged_is_no_error_while_the_run_goes_on() -> None:
    """In a run without an end, a declared stage without rows is information, and so is the missing end."""
    result = check("killed")
    assert not result.finished
    assert {(finding.code, finding.severity) for finding in result.findings} == {
        ("never-logged", Severity.INFO),
        ("unfinished", Severity.INFO),
    }
    assert check("declared").worst is Severity.ERROR


def test_a_damaged_file_is_an_error_that_says_where(tmp_path: Path) -> None:
    """A flipped bit in a file is found, with its place, its size, and how many rows were recovered."""
    data = bytearray(wandb_file("staged").read_bytes())
    data[random.Random(1).randrange(len(data) // 2, len(data))] ^= 4
    path = tmp_path / "run-damaged.wandb"
    path.write_bytes(data)
    run = open_run(path)
    ((_, damage),) = run.damage
    (finding,) = [finding for finding in check_run(run).findings if finding.code == "damaged-file"]
    assert finding.severity is Severity.ERROR
    assert f"{damage.length:,} at {damage.offset:,} of run-damaged.wandb" in finding.message
    assert f"{run.rows:,} rows were recovered" in finding.message
    assert run.rows >= 179
