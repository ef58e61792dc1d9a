"""First, do no harm: of generated loops, what is full without a guard is the same with it, and no number is lost.

The rows are those of the model in ``model.py``, which the real client is held against.
"""

from __future__ import annotations

import math
import os
from itertools import pairwise
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.guarded import Guarded, assert_no_number_is_lost
from guard.made_loops import Call, made, play
from guard.model import Chart, Model
from ups.charts import DEFAULT_AXIS
from ups.guard import row_plan as rows
from ups.guard import strands as axis

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "600"))
LOOPS = st.integers(0, 2**64).map(lambda seed: made(Random(seed)))
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def guarded(calls: list[Call]) -> Guarded:
    """What W&B holds with a guard."""
    run = Guarded()
    play(calls, run)
    run.model.finish()
    return run


def plain(calls: list[Call]) -> Model:
    """What W&B holds without one."""
    model = Model()
    play(calls, model)
    return model.finish()


def is_whole(metric: str, chart: Chart, calls: list[Call]) -> bool:
    """Every number that the script gave is a point, each at an x of its own that W&B did not make up."""
    given = [y for call in calls if (y := call.arguments.get("data", {}).get(metric)) is not None and math.isfinite(y)]
    x = [x for x, _ in chart.points]
    return not chart.invented and [y for _, y in chart.points] == given and 0 < len(x) == len(set(x))


def is_full(metric: str, chart: Chart, calls: list[Call]) -> bool:
    """It is whole, and each x is above the one before."""
    return is_whole(metric, chart, calls) and all(x < after for (x, _), (after, _) in pairwise(chart.points))


@MANY
@given(LOOPS)
def test_a_full_chart_stays_as_it_is(calls: list[Call]) -> None:
    """The same points, under the same name, against the same axis; whatever else is in the run.

    A chart can give way to a broken one in two places. W&B has too few numbers where a row that it would drop repeats a
    name of the row that is open: then no point is lost, and each part is a line; or it is the same as ``step=``, and an
    axis now. And an x that is not in the call can be wrong for another chart in the row.
    """
    before, model = plain(calls), guarded(calls).model
    after = model.charts()
    charts = before.charts()
    full = {metric for metric, chart in charts.items() if is_full(metric, chart, calls)}
    broken = {before.axis(metric) for call in calls for metric in call.arguments.get("data", {}) if metric not in full}
    for metric in full:
        chart = charts[metric]
        if before.crowded and chart.axis == DEFAULT_AXIS and metric not in model.axes():
            parts = [
                after[name] for name in (metric, *(f"part{part}/{metric}" for part in range(2, 10))) if name in after
            ]
            assert sorted(y for part in parts for _, y in part.points) == sorted(y for _, y in chart.points)
            assert all(x < later for part in parts for (x, _), (later, _) in pairwise(part.points))
        if (chart.filled and chart.axis in broken) or (before.crowded and chart.axis == DEFAULT_AXIS):
            continue
        assert after[metric].axis == chart.axis
        assert after[metric].points == chart.points


@MANY
@given(LOOPS)
def test_a_run_whose_charts_are_whole_is_not_touched(calls: list[Call]) -> None:
    """The same rows and definitions, where every number is a point: counted, measured, falling or out of order."""
    before = plain(calls)
    if all(is_whole(metric, chart, calls) for metric, chart in before.charts().items()) and not before.dropped:
        after = guarded(calls)
        assert after.model.rows == before.rows
        assert after.model.calls == before.calls


@MANY
@given(LOOPS)
def test_no_number_is_lost(calls: list[Call]) -> None:
    """Each number is in a row that W&B takes, but for one that the script itself gives again in the same row."""
    assert_no_number_is_lost(calls, guarded(calls))


@MANY
@given(LOOPS)
def test_the_same_calls_give_the_same_actions(calls: list[Call]) -> None:
    """Nothing but the calls decides, and not how much of them is remembered."""
    actions = str(guarded(calls).actions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_MOST_PLANNED", 0)
        patch.setattr(axis, "_MOST_FOUND", 0)
        assert str(guarded(calls).actions) == actions
