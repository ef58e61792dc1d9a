"""The cause of a finding, by the numbers of its run, and the code that fixes it."""

import json

import numpy as np

from ups.charts import DEFAULT_AXIS
from ups.check.chart import Chart
from ups.check.sessions import Follows
from ups.course import MOST_ATTEMPTS, Course, attempts
from ups.text import counted

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
    """Return the cause that the x of a chart shows, and the fix."""
    axis, whole = chart.axis.metric, bool((chart.x == np.floor(chart.x)).all())
    if chart.course is Course.AGAIN and (grown := chart.grown()) is not None:
        return (
            f"{axis} begins again {times(count)}, while {grown} in the same rows keeps growing: no step ran twice",
            define(chart.metric, grown),
        )
    if chart.course is Course.AGAIN:
        later = chart.x[attempts(chart.x, chart.course) > 0]
        again = int(np.count_nonzero(np.isin(later, chart.x[: len(chart.x) - len(later)]))) if len(later) else 0
        if count > MOST_ATTEMPTS:
            return (
                f"{axis} begins again {count:,} times, like a counter within each epoch: the line folds over itself",
                own_axis(chart),
            )
        return (
            f"the stage ran twice, or was resumed from an older checkpoint, so the line folds over itself: {again:,} of"
            f" the values of {axis} come again, in order",
            logged_with(chart, "offset + step") + "  # or log it in a stage of its own",
        )
    if chart.course is Course.FALLING:
        return (
            f"{axis} falls from each point to the next: it counts down, or is measured rather than counted",
            f"{define(chart.metric, DEFAULT_AXIS)}  # and draw {axis} in a chart of its own",
        )
    late = int(np.count_nonzero(chart.x < np.maximum.accumulate(chart.x)))
    seen = (
        f"{late:,} of its points come after points with a larger {axis}, and do not repeat earlier ones: results were"
        f" logged out of order, as when evaluations finish late, or {axis} is measured rather than counted"
    )
    if whole:
        return (
            seen,
            f"for step in sorted(results): run.log({{{as_code(chart.metric)}: results[step], {as_code(axis)}: step}})",
        )
    return seen, f"wandb.plot.scatter(table, {as_code(axis)}, {as_code(chart.metric)})  # points that no line joins"


def session_cause(chart: Chart) -> tuple[str, str]:
    """Return why W&B's own step repeats or goes back, by the order of the run's sessions, and the fix."""
    start = next((start for start in chart.sessions if start.follows is not Follows.BEHIND), None)
    if start is None and chart.x.min() > 0:
        return "the rows of the file are not in the order of W&B's own step", logged_with(chart)
    if start is None or start.follows is Follows.FROM_ZERO:
        return (
            "a later session of the run began without step=, and wandb counted from 0 again, or it began with step=0",
            logged_with(chart),
        )
    if start.follows is Follows.BESIDE:
        return (
            "two processes wrote the run at the same time: the rows of one file begin before those of another end",
            f"wandb.init(group={as_code(chart.run_id)})  # one run per process, all in one group",
        )
    return (
        f"a later session of the run began at _step {start.first}, but the run had reached {start.reached}: it was"
        " resumed from an older checkpoint",
        f"wandb.init(resume_from={as_code(f'{chart.run_id}?_step={start.first - 1}')})"
        "  # W&B then drops the rows after this step",
    )


def held_twice(chart: Chart) -> tuple[str, str] | None:
    """Return the cause and the fix if rows hold the axis twice; else None."""
    axis = chart.axis.metric
    axis_rows = chart.of_axis.axis_rows
    if axis_rows is None or not axis_rows.twice:
        return None
    return (
        f"{counted(axis_rows.twice, 'row')} hold {axis} twice, as it was logged and as wandb filled it in: wandb"
        " reads the dot in the name as a nested key",
        f"{define(chart.metric, axis.replace('.', '_'))}  # and log the axis under this name, without a dot",
    )


def dropped(lost: int) -> str:
    """The cause where wandb dropped calls of ``log()``, perhaps with this metric."""
    return f"wandb dropped {counted(lost, 'call')} of log() whose step= went back; this metric may have been in them"


def redefined(chart: Chart) -> str | None:
    """The definition against a step of the metric's folder that grows in its rows; None without such a step."""
    return define(chart.metric, chart.counter) if chart.counter is not None else None


def own_axis(chart: Chart) -> str:
    """The definition of a new axis that grows with each row of the metric."""
    step = f"{chart.metric}/step"
    return f"{define(chart.metric, step)}  # and log this step, growing, in each of these rows"


def logged_with(chart: Chart, step: str = "step") -> str:
    """The call that puts the metric and its axis in one row."""
    if chart.axis.metric == DEFAULT_AXIS:  # wandb sets it itself, whatever is logged under that name
        return f"run.log({{{as_code(chart.metric)}: value}}, step=last + 1)  # the first row of a later session"
    return f"run.log({{{as_code(chart.metric)}: value, {as_code(chart.axis.metric)}: {step}}})"


def define(name: str, axis: str) -> str:
    """The call that defines a metric with an axis."""
    return f"run.define_metric({as_code(name)}, step_metric={as_code(axis)})"


def as_code(name: str) -> str:
    """Write a name as a string in code."""
    return json.dumps(name, ensure_ascii=False)


def times(count: int) -> str:
    """A number of times, in words."""
    return "once" if count == 1 else f"{count:,} times"
