"""Each verdict on a run of the real client, and a near miss that does not get it."""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from runfile.real_runs import VERSIONS, made_runs, row_offsets, wandb_file
from ups.charts import Definitions
from ups.check import Finding, RunCheck, Severity, Verdict, check_run
from ups.check.mismatch import meant_for
from ups.runfile import Run
from ups.runs import open_run

LOSS = "training/operator/loss"
STEP = "training/operator/step"
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
        ("mostly_empty", LOSS, Verdict.EMPTY, 10, 2),
        ("mostly_empty", "other", Verdict.EMPTY, 10, 5),
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
        ("validated_before", LOSS, Verdict.FULL, 6, 6),
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
        ("mostly_text", "words", Verdict.NOT_NUMERIC, 6, 2),
        ("mostly_text", "gaps", Verdict.FULL, 6, 2),
        ("not_finite", "some", Verdict.NOT_FINITE, 3, 2),
        ("not_finite", "all", Verdict.NOT_FINITE, 3, 0),
        ("not_finite", "large", Verdict.FULL, 3, 3),
        ("nothing_to_draw", "a/nan", Verdict.NOT_FINITE, 3, 0),
        ("nothing_to_draw", "a/text", Verdict.NOT_NUMERIC, 3, 0),
        ("nothing_to_draw", "b/nan", Verdict.EMPTY, 3, 0),
        ("nothing_to_draw", "b/text", Verdict.EMPTY, 3, 0),
        ("nothing_to_draw", "eval/accuracy", Verdict.NOT_FINITE, 2, 1),
        ("never_logged", LOSS, Verdict.NEVER_LOGGED, 0, 0),
        ("never_logged", "training/diffusion/*", Verdict.NEVER_LOGGED, 0, 0),
        ("never_logged", "other", Verdict.FULL, 2, 2),
        ("never_logged_near_miss", LOSS, Verdict.FULL, 2, 2),
        ("never_logged_near_miss", "other", Verdict.FULL, 3, 3),
        ("overwritten", LOSS, Verdict.FULL, 3, 3),
        ("overwritten", "other", Verdict.FULL, 3, 3),
        ("only_its_step", "operator/loss", Verdict.FULL, 3, 3),
        ("only_its_step", "training/operator/*", Verdict.NEVER_LOGGED, 0, 0),
        ("ambiguous", LOSS, Verdict.AMBIGUOUS_AXIS, 3, 3),
        ("ambiguous", "training/operator/exact", Verdict.FULL, 3, 3),
        ("globs_that_agree", LOSS, Verdict.FULL, 3, 3),
        ("orphan", "training/diffusion_residual/loss", Verdict.ORPHAN, 3, 3),
        ("orphan", ALONE, Verdict.FULL, 3, 3),
        ("orphan_near_miss", "training/diffusion_residual/loss", Verdict.FULL, 3, 3),
        ("orphan_near_miss", "speed", Verdict.FULL, 3, 3),
        ("orphan_near_miss", "env/reward", Verdict.FULL, 6, 6),
        ("orphan_near_miss", "env/step", Verdict.FULL, 6, 6),
        ("orphan_near_miss", "train/loss", Verdict.FULL, 6, 6),
        ("orphan_near_miss", "train/epoch_loss", Verdict.FULL, 2, 2),
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
        "validated_before",
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


@pytest.mark.parametrize(("name", "verdict"), [("lagging", Verdict.LAGGING), ("validated_before", Verdict.FULL)])
def test_an_axis_in_rows_of_its_own_is_judged_alike_while_the_run_goes_on(
    name: str, verdict: Verdict, tmp_path: Path
) -> None:
    """The verdict is the one of the run's end from the third value on, wherever its file ends."""
    data, rows = wandb_file(name).read_bytes(), row_offsets(wandb_file(name))
    for place in rows[5:]:
        (tmp_path / "run-live.wandb").write_bytes(data[:place])
        (chart,) = check_run(open_run(tmp_path / "run-live.wandb")).charts
        assert chart.verdict is verdict


@pytest.mark.parametrize("version", VERSIONS)
def test_dropped_rows_are_counted_from_the_runs_own_log(version: str, tmp_path: Path) -> None:
    """Calls that wandb dropped are an error with their number; a run copied without its logs has none."""
    found = finding("lost", "lost-rows", version)
    assert (found.severity, found.count, found.metric) == (Severity.ERROR, 4, None)
    assert found.message == "wandb dropped 4 calls of log(), the first at step=0 when W&B's own step was 9"
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


def test_a_missing_part_of_a_chart_is_counted() -> None:
    """Where some rows make points, the finding says how many do not, and why."""
    sparse, nan = check("mostly_empty").findings
    assert sparse.message == f"8 of the 10 rows that hold {LOSS} lack a number for its axis {STEP}"
    assert (sparse.count, sparse.repairable) == (8, True)
    assert "in other rows" in sparse.cause
    assert "logged as text, None, NaN or an infinity" in nan.cause
    (words,) = check("mostly_text").findings
    assert words.message == "4 of the 6 values of words are not numbers, for example 'n/a'"


def test_a_single_point_points_at_the_rows_that_were_dropped() -> None:
    """A stage all of whose rows but one were dropped is no result that was logged once."""
    found = finding("lost_but_one", "single-point")
    assert "wandb dropped 4 calls of log()" in found.cause
    assert found.fix == 'run.log({"b/loss": value})  # without step='


def test_a_glob_that_fits_only_its_step_metric_names_what_was_meant() -> None:
    """An axis is no chart: the glob, and the declared stage, have no metric."""
    found = finding("only_its_step", "never-logged")
    assert "it does not match operator/loss, which was probably meant" in found.cause


def test_an_exact_definition_without_an_axis_is_the_cause() -> None:
    """A glob would fit, but a definition by name, made for the summary, decides."""
    rows: list[dict[str, float]] = [{"train/loss": step, "train/step": 2 * step} for step in range(3)]
    (found,) = of_rows(rows, ("train/*", "train/step"), ("train/loss", None)).findings
    assert found.code == "orphan"
    assert "its exact name leaves out step_metric=" in found.cause


def test_the_axis_that_draws_most_is_named() -> None:
    """Of several axes, the fix names one that has values."""
    fix = f'run.define_metric("{LOSS}", step_metric="global_step")'
    assert finding("ambiguous_once", "ambiguous-axis").fix == fix


def of_rows(rows: list[dict[str, float]], *defined: tuple[str, str | None]) -> RunCheck:
    """The check of rows in memory."""
    definitions = Definitions()
    for name, axis in defined:
        definitions.define(name, axis)
    return check_run(Run.from_rows(Path("x"), rows, run_id="x", definitions=definitions, finished=True))


def test_the_fix_for_a_second_session_is_about_its_numbers() -> None:
    """W&B sets _step by itself, so that a fix does not tell to log it."""
    for last, code in ((3, "backwards"), (1, "frozen")):
        (found,) = of_rows([{"speed": row, "_step": step} for row in (0, 5) for step in range(last)]).findings
        assert (found.code, found.fix) == (
            code,
            'run.log({"speed": value}, step=last + 1)  # the first row of a later session',
        )
        assert "a later session of the run began without step=" in found.cause


@pytest.mark.parametrize(
    ("name", "axis", "fix"),
    [
        ("train*", "epoch", 'run.log({"trainloss": value, "epoch": step})'),
        ("*", None, 'run.log({"loss": value})'),
        ('a"b', "s\\t", r'run.log({"a\"b": value, "s\\t": step})'),
    ],
)
def test_the_fix_is_code_for_every_name(name: str, axis: str | None, fix: str) -> None:
    """Globs stand for a name, and quotes and backslashes are escaped."""
    assert of_rows([], (name, axis)).findings[0].fix == fix


def test_the_largest_numbers_are_checked() -> None:
    """The difference of two values need not be a number itself."""
    rows = [{"loss": sign * 1.7e308, "s": step * 1.7e308} for step in (-1, 1) for sign in (1, -1)]
    with np.errstate(over="raise"):
        (chart,) = of_rows(rows, ("loss", "s")).charts
    assert chart.verdict is Verdict.STALE


def test_many_names_take_seconds() -> None:
    """A run of 1,000 metrics and as many definitions that fit none of them is checked in a few seconds."""
    names = [f"training/layer{layer}/loss" for layer in range(1000)]
    began = time.process_time()
    result = of_rows([dict.fromkeys(names, 1.0)], *((name.replace("layer", "layers"), None) for name in names))
    assert len(result.charts) == 2000
    assert time.process_time() - began < 6


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
    place = f"{damage.length:,} unreadable bytes at byte {damage.offset:,} (1 record missing) of run-damaged.wandb"
    assert finding.message == f"{place}; {run.rows:,} rows recovered"
    assert run.rows >= 179


def test_a_file_that_ends_inside_a_record_is_unfinished_not_damaged(tmp_path: Path) -> None:
    """A file that was cut off is no damaged file; the finding says how many bytes are over."""
    path = tmp_path / "run-torn.wandb"
    path.write_bytes(wandb_file("staged").read_bytes()[:-5])
    (found,) = check_run(open_run(path)).findings
    assert (found.code, found.severity) == ("unfinished", Severity.INFO)
    assert "its file ends" in found.message


def test_a_stage_that_is_declared_many_times_is_one() -> None:
    """A description that anyone may have written names a stage 5,000 times: it has one chart and one finding."""
    named = ["refine"] * 5000
    for run in (
        Run.from_rows(Path("x"), [], run_id="x", stages=named, finished=True),
        Run.from_rows(Path("x"), [], run_id="x", config={"ups": {"stages": named}}, finished=True),
    ):
        result = check_run(run)
        assert (run.stages, len(result.charts), len(result.findings)) == (("refine",), 1, 1)
