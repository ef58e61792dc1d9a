"""Why a chart is as it is, by the numbers of its run; and the code that mends it."""

import json

import numpy as np

from ups.charts import DEFAULT_AXIS
from ups.check.chart import Chart
from ups.check.sessions import Follows
from ups.course import MOST_ATTEMPTS, Course, attempts

__all__ = [
    "as_code",
    "define",
    "dropped",
    "held_twice",
    "logged_with",
    "own_axis",
    "redefined",
    "session_cause",
    "times",
    "why_back",
]


def why_back(chart: Chart, count: int) -> tuple[str, str]:
    """The cause that the x of a chart show, and the fix for it."""
    axis, whole = chart.axis.metric, bool((chart.x == np.floor(chart.x)).all())
    if chart.course is Course.AGAIN and (grown := chart.grown()) is not None:
        return (
            f"{axis} begins again {times(count)}, while {grown} in the same rows counts on: no step was run twice",
            define(chart.metric, grown),
        )
    if chart.course is Course.AGAIN:
        later = chart.x[attempts(chart.x, chart.course) > 0]
        again = int(np.count_nonzero(np.isin(later, chart.x[: len(chart.x) - len(later)]))) if len(later) else 0
        if count > MOST_ATTEMPTS:
            return (
                f"{axis} begins again {count:,} times, as a counter within each epoch does: the line folds over itself",
                own_axis(chart),
            )
        return (
            f"the stage was run twice, or resumed from an older checkpoint, so the line folds over itself: {again:,} of"
            f" the values of {axis} come again, in order",
            logged_with(chart, "offset + step") + "  # or a stage of its own",
        )
    if chart.course is Course.FALLING:
        return (
            f"{axis} falls from each point to the next: it counts down, or is measured rather than counted",
            f"{define(chart.metric, DEFAULT_AXIS)}  # and {axis} in a chart of its own",
        )
    late = int(np.count_nonzero(chart.x < np.maximum.accumulate(chart.x)))
    seen = (
        f"{late:,} of its points come after larger {axis}, and run through no earlier points again: results came out of"
        f" order, as evaluations that finish late do, or {axis} is measured rather than counted"
    )
    if whole:
        return (
            seen,
            f"for step in sorted(results): run.log({{{as_code(chart.metric)}: results[step], {as_code(axis)}: step}})",
        )
    return seen, f"wandb.plot.scatter(table, {as_code(axis)}, {as_code(chart.metric)})  # points that no line joins"


def session_cause(chart: Chart) -> tuple[str, str]:
    """Why W&B's own step stands still or goes back, by how the run's sessions follow each other."""
    start = next((start for start in chart.sessions if start.follows is not Follows.BEHIND), None)
    if start is None and chart.x.min() > 0:
        return "the rows of the file do not stand in the order of W&B's own step", logged_with(chart)
    if start is None or start.follows is Follows.FROM_ZERO:
        return (
            "a later session of the run began without step=, so wandb counted its rows from 0 again, or it gave step=0",
            logged_with(chart),
        )
    if start.follows is Follows.BESIDE:
        return (
            "two processes wrote the run at the same time: the rows of one file begin before those of another end",
            f"wandb.init(group={as_code(chart.run_id)})  # a run per process, in one group",
        )
    return (
        f"a later session of the run began at _step {start.first}, where the run had reached {start.reached}: it was"
        " resumed from an older checkpoint",
        f"wandb.init(resume_from={as_code(f'{chart.run_id}?_step={start.first - 1}')})"
        "  # W&B then leaves out the rows behind it",
    )


def held_twice(chart: Chart) -> tuple[str, str] | None:
    """The cause and the fix where the rows hold the axis twice; None where they do not."""
    axis = chart.axis.metric
    if chart.axis_rows is None or not chart.axis_rows.twice:
        return None
    return (
        f"{chart.axis_rows.twice:,} rows hold {axis} twice: as it was logged, and as wandb filled it in, since it looks"
        " a name up by its dots",
        f"{define(chart.metric, axis.replace('.', '_'))}  # an axis without a dot in its name, logged as such",
    )


def dropped(lost: int) -> str:
    """The cause where calls of ``log()`` were dropped, which may have been the metric's."""
    calls = "1 call" if lost == 1 else f"{lost:,} calls"
    return f"wandb dropped {calls} of log() whose step= was below its own: rows of it may be among them"


def redefined(chart: Chart) -> str | None:
    """The definition against a step of the metric's folder that grows in its rows, where there is one."""
    return define(chart.metric, chart.counter) if chart.counter is not None else None


def own_axis(chart: Chart) -> str:
    """An axis that moves with each row of the metric."""
    step = f"{chart.metric}/step"
    return f"{define(chart.metric, step)}  # and log it in each of these rows, growing"


def logged_with(chart: Chart, step: str = "step") -> str:
    """The call that puts the metric and its axis in one row."""
    if chart.axis.metric == DEFAULT_AXIS:  # which wandb sets itself, whatever is logged under that name
        return f"run.log({{{as_code(chart.metric)}: value}}, step=last + 1)  # the first row of a later session"
    return f"run.log({{{as_code(chart.metric)}: value, {as_code(chart.axis.metric)}: {step}}})"


def define(name: str, axis: str) -> str:
    """The definition of a metric with an axis."""
    return f"run.define_metric({as_code(name)}, step_metric={as_code(axis)})"


def as_code(name: str) -> str:
    """A name as a string in code."""
    return json.dumps(name, ensure_ascii=False)


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count:,} times"
