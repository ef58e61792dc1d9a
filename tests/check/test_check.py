"""Each verdict on a run of the real client, and a near miss that does not get it."""

import shutil
from pathlib import Path

import pytest

from runfile.real_runs import VERSIONS, made_runs, row_offsets, wandb_file
from ups.check import Finding, RunCheck, Severity, Verdict, check_run
from ups.check.mismatch import meant_for
from ups.runfile import open_run

LOSS = "training/operator/loss"
VAL = "training/operator/val"
ALONE = "training/diffusion_residual/alone"


def check(name: str, version: str = "newest") -> RunCheck:
    """The check of a made run."""
    return check_run(open_run(made_runs(version) / name))


def finding(name: str, code: str, version: str = "newest") -> Finding:
    """The one finding of that code in a made run."""
    (found,) = [finding for finding in check(name, version).findings if finding.code == code]
    return found


@pytest.mark.parametrize("version", VERSIONS)
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
        ("frozen_near_miss", LOSS, Verdict.FULL, 5, 5),
        ("stale", LOSS, Verdict.STALE, 9, 9),
        ("stale_near_miss", LOSS, Verdict.FULL, 3, 3),
        ("lagging", LOSS, Verdict.LAGGING, 9, 9),
        ("lagging_near_miss", LOSS, Verdict.FULL, 9, 9),
        ("lagging_near_miss", VAL, Verdict.FULL, 3, 3),
        ("bare_steps", LOSS, Verdict.FULL, 9, 9),
        ("validated", LOSS, Verdict.FULL, 9, 9),
        ("validated", VAL, Verdict.FULL, 4, 4),
        ("backwards", LOSS, Verdict.BACKWARDS, 8, 8),
        ("backwards_near_miss", LOSS, Verdict.FULL, 4, 4),
        ("backwards_near_miss", "training/refine/loss", Verdict.FULL, 3, 3),
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
        ("never_logged_near_miss", LOSS, Verdict.FULL, 2, 2),
        ("never_logged_near_miss", "other", Verdict.FULL, 3, 3),
        ("ambiguous", LOSS, Verdict.AMBIGUOUS_AXIS, 3, 3),
        ("ambiguous", "training/operator/exact", Verdict.FULL, 3, 3),
        ("globs_that_agree", LOSS, Verdict.FULL, 3, 3),
        ("orphan", "training/diffusion_residual/loss", Verdict.ORPHAN, 3, 3),
        ("orphan", ALONE, Verdict.FULL, 3, 3),
        ("orphan_near_miss", "training/diffusion_residual/loss", Verdict.FULL, 3, 3),
        ("orphan_near_miss", "speed", Verdict.FULL, 3, 3),
    ],
)
def test_the_verdict_of_a_chart(name: str, metric: str, verdict: Verdict, rows: int, points: int, version: str) -> None:
    """A chart's verdict, rows and points are what a person sees in W&B, whichever wandb made the run."""
    (chart,) = [chart for chart in check(name, version).charts if chart.metric == metric]
    assert (chart.verdict, chart.rows, chart.points) == (verdict, rows, points)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name",
    [
        "staged",
        "empty_near_miss",
        "frozen_near_miss",
        "stale_near_miss",
        "lagging_near_miss",
        "backwards_near_miss",
        "never_logged_near_miss",
        "orphan_near_miss",
        "globs_that_agree",
        "bare_steps",
        "validated",
        "two_points",
        "raised",
    ],
)
def test_a_good_run_has_no_findings(name: str, version: str) -> None:
    """Where every chart is full, nothing is found; neither where training failed and the run ended all the same."""
    result = check(name, version)
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


@pytest.mark.parametrize("version", VERSIONS)
def test_dropped_rows_are_counted_from_the_runs_own_log(version: str, tmp_path: Path) -> None:
    """Calls that wandb dropped are an error with their number; a run copied without its logs has none."""
    found = finding("lost", "lost-rows", version)
    assert (found.severity, found.count, found.metric) == (Severity.ERROR, 4, None)
    assert found.message == "wandb dropped 4 calls of log(), the first at step=0 when the run stood at 9"
    assert [found.code for found in check("lost_near_miss", version).findings] == ["single-point"]
    shutil.copy(wandb_file("lost", version), tmp_path / "run-lost.wandb")
    assert check_run(open_run(tmp_path)).findings == ()


def test_a_name_mismatch_names_what_was_meant() -> None:
    """An orphan names the glob that was meant for it, and the glob without rows the metric."""
    orphan, unmatched = finding("orphan", "orphan"), finding("orphan", "never-logged")
    assert "'training/diffusion/*' was probably meant" in orphan.cause
    assert orphan.fix == (
        'run.define_metric("training/diffusion_residual/loss", step_metric="training/diffusion_residual/step")'
    )
    assert "it does not match training/diffusion_residual/loss" in unmatched.cause
    assert unmatched.fix == (
        'run.define_metric("training/diffusion_residual/*", step_metric="training/diffusion_residual/step")'
    )
    for found in check("never_logged").findings:
        assert "meant" not in found.cause


def test_a_stage_without_rows_points_at_the_rows_that_were_dropped() -> None:
    """Where wandb dropped rows, the stage that has none says how many."""
    found = finding("naive", "never-logged")
    assert "wandb dropped 50 calls of log()" in found.cause
    assert found.fix.endswith("# without step=")


def test_the_first_value_that_is_not_finite_is_named() -> None:
    """A value that is not finite is found at its x."""
    (found,) = [found for found in check("not_finite").findings if found.metric == "some"]
    assert found.message == "1 of the 3 values of some are NaN or infinite, the first at _step = 2"
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("metric", "definition", "meant"),
    [
        ("training/diffusion_residual/loss", "training/diffusion/*", True),
        ("training/operator/loss", "training/operater/*", True),
        ("Training/operator/loss", "training/operator/*", True),
        ("training/operator/loss", "training/operator/losses", True),
        ("train/loss", "val/*", False),
        ("training/operator/loss", "training/consistency/*", False),
        ("training/a/loss", "training/b/*", False),
        ("loss", "training/operator/*", False),
    ],
)
def test_which_definition_was_meant(metric: str, definition: str, meant: bool) -> None:
    """A definition was meant for a metric whose name begins as it does; another stage's was not."""
    assert meant_for([metric], [definition]) == ({metric: definition} if meant else {})


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_never_logged_is_no_error_while_the_run_goes_on(version: str) -> None:
    """In a run without an end, a declared stage without rows is information, and so is the missing end."""
    result = check("killed", version)
    assert not result.finished
    assert {(finding.code, finding.severity) for finding in result.findings} == {
        ("never-logged", Severity.INFO),
        ("unfinished", Severity.INFO),
    }
    assert check("declared").worst is Severity.ERROR


def test_a_damaged_file_is_an_error_that_says_where(tmp_path: Path) -> None:
    """A flipped bit in a file is found, with its place, its size, and how many rows were recovered."""
    data = bytearray(wandb_file("staged").read_bytes())
    data[row_offsets(wandb_file("staged"))[100] + 20] ^= 4
    path = tmp_path / "run-damaged.wandb"
    path.write_bytes(data)
    run = open_run(path)
    ((_, damage),) = run.damage
    (finding,) = [finding for finding in check_run(run).findings if finding.code == "damaged-file"]
    assert finding.severity is Severity.ERROR
    place = f"{damage.length:,} bytes at {damage.offset:,} cannot be read (1 record gone) of run-damaged.wandb"
    assert place in finding.message
    assert f"{run.rows:,} rows were recovered" in finding.message
    assert run.rows >= 179


def test_a_file_that_ends_inside_a_record_is_unfinished_not_damaged(tmp_path: Path) -> None:
    """A file that was cut off is no damaged file; the finding says how many bytes are over."""
    path = tmp_path / "run-torn.wandb"
    path.write_bytes(wandb_file("staged").read_bytes()[:-5])
    (found,) = check_run(open_run(path)).findings
    assert (found.code, found.severity) == ("unfinished", Severity.INFO)
    assert "its file ends" in found.message
