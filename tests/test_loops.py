"""Loops that people write: the verdict, the cause and the repair of each, on runs of the real client."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest

import loops_people_write
from environments import made_by
from ups.check import Finding, RunCheck, Verdict, check_run
from ups.repair import Plan, plan_lines, plan_repair, write_repair
from ups.runfile import Run
from ups.runfile.framing import FrameReader
from ups.runfile.records import Record
from ups.runs import open_run

MAKER = Path(loops_people_write.__file__)


@functools.cache
def made() -> Path:
    """The folder of all loops' runs; made once for all test processes."""
    return made_by("loops", MAKER)


@functools.cache
def loaded(name: str) -> tuple[Run, RunCheck]:
    """A loop's run, and its check."""
    run = open_run(made() / name / "wandb")
    return run, check_run(run)


def verdicts(name: str) -> dict[str, Verdict]:
    """The verdict of each chart."""
    return {chart.metric: chart.verdict for chart in loaded(name)[1].charts}


def finding(name: str, code: str, metric: str | None = None) -> Finding:
    """The one finding of that code."""
    (found,) = [each for each in loaded(name)[1].findings if each.code == code and metric in (None, each.metric)]
    return found


def repaired(name: str, folder: Path, plan: Plan | None = None) -> Run:
    """The run in the repaired copy of a loop's run."""
    write_repair(plan or plan_repair(loaded(name)[0]), folder / "copy")
    return open_run(folder / "copy")


def points(run: Run, metric: str) -> tuple[list[float], list[float]]:
    """The x and y of a chart's points."""
    series = run.series(metric)
    drawn = np.isfinite(series.x) & np.isfinite(series.y)
    return series.x[drawn].tolist(), series.y[drawn].tolist()


FULL = {
    "escaped_dot": ["my.loss"],
    "own_count_is_the_same": ["train/loss"],
    "rewound": ["loss"],
    "rewound_twice": ["loss"],
    "evaluations_out_of_order": ["train/loss"],
    "epoch_in_every_row": ["lr"],
    "epoch_in_every_row_and_its_mean": ["loss/epoch_avg"],
    "two_evaluations_at_one_step": ["train/loss", "train/epoch"],
    "one_metric_runs_again": ["encoder/loss", "decoder/loss"],
    "two_processes": ["rank0/loss", "rank1/loss"],
    "never_logged_beside_lost_rows": ["train/loss"],
    "another_counter_is_logged": ["train/loss"],
}


@pytest.mark.parametrize("name", FULL)
def test_a_right_chart_is_full_and_keeps_its_points(name: str, tmp_path: Path) -> None:
    """Whatever stands beside it, a chart that W&B draws right is called full, and the copy has the same points."""
    run, check = loaded(name)
    for metric in FULL[name]:
        assert verdicts(name)[metric] is Verdict.FULL
        assert not [found for found in check.findings if found.metric == metric]
    plan = plan_repair(run)
    assert not [change.metric for change in plan.charts if change.metric in FULL[name] and change.gone]
    copy = run if plan.changes_nothing else repaired(name, tmp_path, plan)
    for metric in FULL[name]:
        if name != "epoch_in_every_row":  # its lr stands beside losses that are spread, in one row
            assert points(copy, metric) == points(run, metric)


CAUSES = {
    ("evaluations_out_of_order", "backwards"): (["out of order"], ["twice", "checkpoint"]),
    ("measured_axis", "backwards"): (["measured rather than counted"], ["twice", "checkpoint"]),
    ("falling_axis", "backwards"): (["falls from each point to the next"], ["twice", "checkpoint"]),
    ("clock_that_restarts", "backwards"): (["measured rather than counted"], ["twice", "checkpoint"]),
    ("clock_beside_a_step", "backwards"): (["while global_step in the same rows keeps growing"], ["checkpoint"]),
    ("folds", "backwards"): (["begins again 11 times"], ["checkpoint", "out of order"]),
    ("large_steps_again", "backwards"): (["10 of the values of env_steps come again"], ["out of order"]),
    ("epoch_in_every_row", "stale"): (
        ["8 points are at epoch = 1: several rows", "in rows without it"],
        ["less often"],
    ),
    ("epoch_in_every_row_and_its_mean", "stale"): (["8 points are at epoch = 0"], ["less often"]),
    ("two_evaluations_at_one_step", "stale"): (["2 points are at train/global_step = 6"], ["less often"]),
    ("rungs", "stale"): (["9 points are at budget = 1"], ["less often", "twice"]),
    ("resumed_with_step", "backwards"): (["began at _step 10, but the run had reached 14"], ["without step="]),
    ("two_processes", "backwards"): (["two processes wrote the run at the same time"], ["without step="]),
    ("never_logged_beside_lost_rows", "never-logged"): (["wandb dropped 20 calls"], ["train/loss", "meant"]),
    ("two_counters", "lost-rows"): (["two counters", "9 while W&B's own step was 36"], ["from 0 again"]),
    ("second_call_at_a_committed_step", "lost-rows"): (
        ["W&B's own step was one higher"],
        ["from 0 again", "two counters"],
    ),
    ("below_zero", "lost-rows"): (["log() was given step=-1, but W&B counts from 0"], ["again", "two counters"]),
    ("stage_from_zero", "lost-rows"): (["counted from 0 again, while W&B's own step was 29"], ["two counters"]),
    ("another_counter_is_logged", "frozen"): (["never logged with a new value, so wandb filled in 0; or"], []),
    ("dot_in_the_axis", "frozen"): (
        ["20 rows hold Wall Time (sec.) twice", "reads the dot in the name"],
        ["never logged"],
    ),
    ("defined_again_later", "empty"): (["first logged after 30 rows of loss"], ["step_sync"]),
}


@pytest.mark.parametrize(("name", "code"), CAUSES)
def test_a_cause_is_what_the_file_shows(name: str, code: str) -> None:
    """The cause names what is seen, with the numbers, and nothing that did not happen."""
    found = finding(name, code)
    true, false = CAUSES[name, code]
    assert [words for words in true if words not in found.cause] == []
    assert [words for words in false if words in found.cause] == []


FIXES = {
    ("evaluations_out_of_order", "backwards"): 'for step in sorted(results): run.log({"eval/acc": results[step], ',
    ("measured_axis", "backwards"): 'wandb.plot.scatter(table, "kl", "reward")',
    ("falling_axis", "backwards"): 'run.define_metric("loss", step_metric="_step")',
    ("clock_beside_a_step", "backwards"): 'run.define_metric("loss", step_metric="global_step")',
    ("resumed_with_step", "backwards"): 'wandb.init(resume_from="crash?_step=9")',
    ("never_logged_beside_lost_rows", "never-logged"): 'run.log({"val/loss": value, "val_step": step})  # without',
    ("dot_in_the_axis", "frozen"): 'run.define_metric("reward", step_metric="Wall Time (sec_)")',
    ("another_counter_is_logged", "frozen"): 'run.define_metric("eval/reward", step_metric="eval/global_step")',
}  # fmt: skip


@pytest.mark.parametrize(("name", "code"), FIXES)
def test_a_fix_is_not_what_the_script_does_already(name: str, code: str) -> None:
    """The fix is another call than the script's, and about the broken chart alone."""
    assert finding(name, code).fix.startswith(FIXES[name, code])


@pytest.mark.parametrize(
    "name", ["epoch_in_every_row", "epoch_in_every_row_and_its_mean", "two_evaluations_at_one_step"]
)
def test_the_fix_for_a_shared_x_is_not_the_call_that_is_made(name: str) -> None:
    """The script logs the axis in each row: it is not told to do that."""
    found = finding(name, "stale")
    assert found.fix.startswith(f'run.define_metric("{found.metric}", step_metric=')


KEPT = {
    "evaluations_out_of_order": ("eval/acc", [20, 30, 50, 60, 70]),
    "falling_axis": ("loss", list(range(1, 31))),
    "two_evaluations_at_one_step": ("eval/loss", [0, 6, 6]),
    "rungs": ("score", [1] * 9 + [3] * 3 + [9]),
    "epoch_in_every_row": ("loss/current", [1 + place / 8 for place in range(40)]),
    "epoch_in_every_row_and_its_mean": ("loss/batch", [place / 8 for place in range(40)]),
    "another_counter_is_logged": ("eval/reward", [20, 40, 60]),
    "rewound": ("loss", list(range(301))),
    "clock_beside_a_step": ("loss", list(range(60))),
    "folds": ("loss", list(range(1, 73))),
    "two_processes": ("both", sorted([*range(100), *range(100)])),
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("keep", ["last", "first", "all"])
def test_a_repair_leaves_out_no_point(name: str, keep: str, tmp_path: Path) -> None:
    """Out of order is sorted, shared x are spread where an order is known, and results at one x stay."""
    run = loaded(name)[0]
    metric, expected = KEPT[name]
    plan = plan_repair(run, keep=keep)  # type: ignore[arg-type]
    assert plan.points_gone == 0
    x, y = points(run if plan.changes_nothing else repaired(name, tmp_path, plan), metric)
    if keep == "all" and name == "two_processes":
        assert len(x) == 200  # they count on
        return
    assert x == expected
    assert sorted(y) == sorted(points(run, metric)[1])


def test_a_measured_axis_keeps_all_its_points(tmp_path: Path) -> None:
    """They are sorted, and none is left out."""
    x, y = points(repaired("measured_axis", tmp_path), "reward")
    assert x == sorted(x)
    assert sorted(y) == sorted(points(loaded("measured_axis")[0], "reward")[1])


@pytest.mark.parametrize(("keep", "of_the_first"), [("last", 10), ("first", 15)])
def test_a_session_that_was_resumed_with_step_overlaps(keep: str, of_the_first: int, tmp_path: Path) -> None:
    """Steps 10 to 14 are kept of one attempt, as ``keep`` says, and no step is counted on."""
    run = loaded("resumed_with_step")[0]
    plan = plan_repair(run, keep=keep)  # type: ignore[arg-type]
    assert (plan.points_gone, plan.renumbered) == (5, 0)
    copy = repaired("resumed_with_step", tmp_path, plan)
    assert points(copy, "loss")[0] == list(range(30))
    stamps, rows = copy.column("_timestamp"), run.column("_timestamp")
    assert stamps is not None
    assert rows is not None
    assert np.isin(stamps.values, rows.values[:15]).sum() == of_the_first


def test_two_processes_are_told_and_none_is_moved(tmp_path: Path) -> None:
    """The second process's chart keeps its steps on an axis of its own, and the plan lists it."""
    run = loaded("two_processes")[0]
    plan = plan_repair(run)
    assert {change.metric for change in plan.charts} == {"rank1/loss", "both"}
    assert "keeps its steps in step" in "\n".join(plan_lines(plan))
    copy = repaired("two_processes", tmp_path, plan)
    assert copy.axis("rank1/loss").metric == "step"
    assert points(copy, "rank1/loss")[0] == list(range(100))
    assert {(found.code, found.metric) for found in check_run(copy).findings} == {("stale", "both")}


def test_rewound_rows_stay_away_in_a_copy(tmp_path: Path) -> None:
    """The run's two files can be copied and synced: the copy is no rewind of the original."""
    run = loaded("rewound")[0]
    assert [segment.path.parent.name.endswith("-1") for segment in run.segments] in ([False, True], [False, False])
    bad = tmp_path / "damaged"
    shutil.copytree(made() / "rewound" / "wandb", bad, symlinks=True)
    file = max(bad.glob("offline-run-*/run-rew.wandb"), key=lambda path: path.stat().st_mtime)
    file.write_bytes(file.read_bytes()[:-40])  # its end is torn, so that there is something to repair
    write_repair(plan_repair(open_run(bad)), tmp_path / "copy")
    copy = open_run(tmp_path / "copy")
    assert points(copy, "loss")[0][:210] == list(range(210))
    for segment in copy.segments:
        for batch in FrameReader(segment.path):
            assert not any("branch_point" in Record(record).run for record in batch.records())


def test_digits_are_not_rounded() -> None:
    """A message compares the numbers as they are."""
    message = finding("large_steps_again", "backwards").message
    assert message == "env_steps goes back once, from 12345639 to 12345630"
