"""What a repair may never do, whatever was logged: property tests over random runs."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repair.loops import LoggedRun, logged_runs
from ups.charts import Definitions
from ups.check import RunCheck, Verdict, check_run
from ups.course import Course, course
from ups.dashboard.repaired_view import meant_run
from ups.repair import Plan, plan_repair
from ups.repair.meant_axis import Keep
from ups.repair.mend import MEND
from ups.runfile import Run

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "300"))
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
KEEPS: tuple[Keep, ...] = ("last", "first", "all")


def points(run: Run, metric: str) -> list[tuple[float, float]]:
    """The points of a chart, in the order of its rows."""
    series = run.series(metric)
    drawn = np.isfinite(series.x) & np.isfinite(series.y)
    return list(zip(series.x[drawn].tolist(), series.y[drawn].tolist(), strict=True))


def values(run: Run, metric: str) -> Counter[float]:
    """Every number that was logged under a name."""
    column = run.column(metric)
    return Counter() if column is None else Counter(column.values.tolist())


def right(run: Run, check: RunCheck) -> list[str]:
    """The charts whose x grows from each point to the next and that the check finds full."""
    found = []
    for chart in check.charts:
        x = [x for x, _ in points(run, chart.metric)] if chart.rows else []
        if chart.verdict is Verdict.FULL and all(later > earlier for earlier, later in itertools.pairwise(x)):
            found.append(chart.metric)
    return found


@many
@given(logged=logged_runs(), keep=st.sampled_from(KEEPS))
def test_a_repair_does_no_harm(logged: LoggedRun, keep: Keep) -> None:
    """A full chart stays as it is; points are left out only where attempts overlap; and no chart is worse."""
    run = logged.run()
    before = check_run(run)
    plan = plan_repair(run, keep=keep, check=before)
    meant = meant_run(plan)
    full_charts_are_as_they_were(run, before, plan, meant)
    only_attempts_lose_points(run, before, plan, meant, keep)
    no_chart_is_worse(before, meant)


def full_charts_are_as_they_were(run: Run, check: RunCheck, plan: Plan, meant: Run) -> None:
    """A chart that is right keeps its points and their x, whatever stands beside it."""
    for metric in right(run, check):
        assert points(meant, metric) == points(run, metric)
    assert not {change.metric for change in plan.charts if change.gone} & set(right(run, check))


def only_attempts_lose_points(run: Run, check: RunCheck, plan: Plan, meant: Run, keep: Keep) -> None:
    """Every value is in the copy but those that the plan counts, of charts whose x comes again."""
    gone = {change.metric: change.gone for change in plan.charts}
    to_summary = {change.metric for change in plan.charts if change.axis is None}
    for chart in check.charts:
        if not chart.rows or chart.metric in to_summary:
            continue
        lost = values(run, chart.metric) - values(meant, chart.metric)
        assert not values(meant, chart.metric) - values(run, chart.metric)
        assert lost.total() == gone.get(chart.metric, 0)
        if lost:
            assert keep != "all"
            metrics = [each.metric for each in check.charts if each.axis == chart.axis and each.rows]
            x = [np.array([x for x, _ in points(run, metric)]) for metric in metrics]
            assert any(course(each) is Course.AGAIN for each in x) or is_rebuilt(check, metrics)


def is_rebuilt(check: RunCheck, metrics: list[str]) -> bool:
    """True where the x of one of some charts was not logged as it was meant."""
    codes = {finding.code for finding in check.findings if finding.metric in metrics}
    return bool(codes & (MEND - {Verdict.BACKWARDS} | {Verdict.AMBIGUOUS_AXIS, Verdict.ORPHAN}))


def no_chart_is_worse(before: RunCheck, meant: Run) -> None:
    """No verdict is worse in the copy than in the run; what is called repairable is gone; no x goes back."""
    after = check_run(meant)
    verdicts = {chart.metric: chart.verdict for chart in before.charts}
    for chart in after.charts:
        assert chart.metric not in verdicts or chart.verdict.rank >= verdicts[chart.metric].rank
        x = [x for x, _ in points(meant, chart.metric)] if chart.rows else []
        assert x == sorted(x)
    mended = {(found.code, found.metric) for found in before.findings if found.repairable}
    assert not mended & {(found.code, found.metric) for found in after.findings}


@pytest.mark.parametrize("begin", [0, 2**60])
def test_steps_beyond_the_floats_are_repaired_with_all_their_digits(begin: int) -> None:
    """A counter of nanoseconds that begins again is repaired as a small one is."""
    definitions = Definitions()
    definitions.define("loss", "ns")
    rows = [{"loss": place % 3, "ns": begin + step} for place, step in enumerate([0, 1, 2, 3, 2, 3, 4, 5])]
    run = Run.from_rows(Path("run"), rows, run_id="run", definitions=definitions, finished=True)
    plan = plan_repair(run)
    assert plan.points_gone == 2
    assert [int(x) - begin for x, _ in points(meant_run(plan), "loss")] == [0, 1, 2, 3, 4, 5]
    stale = [{"loss": place, "ns": begin + place // 3 * 3} for place in range(9)]
    run = Run.from_rows(Path("run"), stale, run_id="run", definitions=definitions, finished=True)
    assert [int(x) - begin for x, _ in points(meant_run(plan_repair(run)), "loss")] == list(range(9))
