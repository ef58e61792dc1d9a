"""The rules: one pure function each, from the facts about a chart to a finding or None."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS, Axis
from ups.check.findings import Finding, Verdict, severity_of
from ups.runfile import Series

__all__ = ["RULES", "AxisRows", "Chart", "never_logged"]

_REPAIRABLE = {
    Verdict.EMPTY,
    Verdict.FROZEN,
    Verdict.AMBIGUOUS_AXIS,
    Verdict.ORPHAN,
    Verdict.LAGGING,
    Verdict.BACKWARDS,
    Verdict.STALE,
}
_RESULT = re.compile(r"(?:^|[/_.])(?:eval|evaluation|test|testing|final|best|results?)(?:[/_.]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class AxisRows:
    """The rows that hold an axis.

    Attributes:
        rows: int64, shape (rows,): their numbers.
        x: float64, shape (rows,): the axis's value.
        bare: bool, shape (rows,): whether the row holds no metric that is drawn against the axis.
    """

    rows: NDArray[np.int64]
    x: NDArray[np.float64]
    bare: NDArray[np.bool_]


@dataclass(frozen=True)
class Chart:
    """The facts about one chart that the rules judge.

    Attributes:
        metric, stage, axis: as in :class:`~ups.check.findings.ChartCheck`, the axis with its candidates.
        series: the metric against its axis.
        x, y: float64, shape (points,): the points, in the order in which they were logged.
        axis_rows: the rows that hold the axis; None where it was never logged.
        own_step: the step metric of the metric's own stage, where the same rows hold it; else None.
        meant: the glob that was probably meant to match an orphan; None without a likely one.
        finished: whether the run ended by itself.
    """

    metric: str
    stage: str | None
    axis: Axis
    series: Series
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    axis_rows: AxisRows | None
    own_step: str | None
    meant: str | None
    finished: bool


def empty(chart: Chart) -> Finding | None:
    """Rows hold the metric, and none of them its axis as a number."""
    held, axis = chart.series.held, chart.axis.metric
    if not held or np.isfinite(chart.series.x).any():
        return None
    if chart.axis_rows is None:
        cause = f"{axis} is only named by define_metric; it was never logged as data"
    elif not len(chart.series.x):
        cause = f"{axis} was logged in other rows than {chart.metric}, with step_sync=False"
    else:
        cause = f"{axis} was logged as something that is no finite number"
    return _finding(
        chart,
        Verdict.EMPTY,
        held,
        f"{held:,} rows hold {chart.metric}, none holds its axis {axis}",
        cause,
        _log(chart),
    )


def not_numeric(chart: Chart) -> Finding | None:
    """No value of the metric is a number. Some among numbers only leave gaps."""
    count, sample = chart.series.not_numeric, chart.series.sample
    if not count or count < chart.series.held:
        return None
    shown = repr(sample) if len(repr(sample)) <= 40 else repr(sample)[:37] + "..."
    return _finding(
        chart,
        Verdict.NOT_NUMERIC,
        count,
        f"all {count:,} values of {chart.metric} are no numbers, for example {shown}",
        "strings, None, lists and dictionaries are stored, but no line can show them",
        f'run.log({{"{chart.metric}": float(value)}})',
    )


def frozen(chart: Chart) -> Finding | None:
    """Two rows or more, all at one x."""
    x = chart.series.x[np.isfinite(chart.series.x)]
    if len(x) < 2 or x.min() < x.max():
        return None
    return _finding(
        chart,
        Verdict.FROZEN,
        len(x),
        f"all {len(x):,} points of {chart.metric} are at {chart.axis.metric} = {x[0]:g}",
        f"{chart.axis.metric} was never logged with a new value, so wandb filled in {x[0]:g} in every row",
        _log(chart),
    )


def ambiguous_axis(chart: Chart) -> Finding | None:
    """More than one glob matches, with different axes, and no exact definition decides."""
    axes = chart.axis.candidates
    if not axes:
        return None
    wanted = next((axis for axis in axes if axis != DEFAULT_AXIS), DEFAULT_AXIS)
    return _finding(
        chart,
        Verdict.AMBIGUOUS_AXIS,
        len(axes),
        f"{chart.metric} may be drawn against {' or '.join(axes)}",
        "several globs match its name, and wandb takes any of them, in an order that changes from run to run",
        f'run.define_metric("{chart.metric}", step_metric="{wanted}")',
    )


def orphan(chart: Chart) -> Finding | None:
    """The step metric of its own stage is in the same rows, but W&B draws against ``_step``."""
    if chart.own_step is None:
        return None
    missed = f": {chart.meant!r} was probably meant, but" if chart.meant else ":"
    return _finding(
        chart,
        Verdict.ORPHAN,
        chart.series.held,
        f"{chart.metric} is drawn against _step, though the same rows hold {chart.own_step}",
        f"no define_metric matches its name{missed} only a trailing '*' is a wildcard, and the rest must fit",
        f'run.define_metric("{chart.metric}", step_metric="{chart.own_step}")',
    )


def lagging(chart: Chart) -> Finding | None:
    """The axis moves only in rows of its own, each after the rows that it should have been in."""
    axis = chart.axis_rows
    if axis is None or np.count_nonzero(axis.bare) < 2 or len(chart.x) < 2:
        return None
    moved = np.diff(axis.x, prepend=axis.x[:1]) != 0
    if not moved.any() or (moved & ~axis.bare).any() or chart.series.rows[0] > axis.rows[axis.bare][0]:
        return None
    return _finding(
        chart,
        Verdict.LAGGING,
        len(chart.x),
        f"the {len(chart.x):,} points of {chart.metric} are drawn one step early",
        f"{chart.axis.metric} comes in a row of its own, after the metric's, where wandb put the last one",
        _log(chart),
    )


def backwards(chart: Chart) -> Finding | None:
    """x decreases."""
    back = np.flatnonzero(np.diff(chart.x) < 0)
    if not back.size:
        return None
    first = int(back[0])
    return _finding(
        chart,
        Verdict.BACKWARDS,
        int(back.size),
        f"{chart.axis.metric} goes back {_times(back.size)}, first from {chart.x[first]:g} to {chart.x[first + 1]:g}",
        "the stage was run twice, or resumed from an older checkpoint, so the line folds over itself",
        f'run.log({{"{chart.metric}": value, "{chart.axis.metric}": offset + step}})  # or a stage of its own',
    )


def stale(chart: Chart) -> Finding | None:
    """Part of the points share the x of the one before. The same point again, at one x and y, is nothing to see."""
    at_same_x = np.diff(chart.x) == 0
    same = np.flatnonzero(at_same_x & (np.diff(chart.y) != 0))
    if not same.size or at_same_x.all():
        return None
    return _finding(
        chart,
        Verdict.STALE,
        int(same.size),
        f"{same.size:,} of the {len(chart.x):,} points of {chart.metric} share the x of the point before",
        f"{chart.axis.metric} was logged less often than the metric, and wandb repeated its last value",
        _log(chart),
    )


def not_finite(chart: Chart) -> Finding | None:
    """Some or all values are NaN or infinite."""
    count = chart.series.not_finite
    if not count:
        return None
    bad = np.flatnonzero(np.isfinite(chart.series.x) & ~np.isfinite(chart.series.y))
    first = f", the first at {chart.axis.metric} = {chart.series.x[bad[0]]:g}" if bad.size else ""
    return _finding(
        chart,
        Verdict.NOT_FINITE,
        count,
        f"{count:,} of the {chart.series.held:,} values of {chart.metric} are NaN or infinite{first}",
        "the training diverged, or something was divided by zero: W&B leaves these points out",
        "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # or a lower learning rate before that step",
    )


def single_point(chart: Chart) -> Finding | None:
    """One point: a dot, not a line."""
    if len(chart.x) != 1:
        return None
    return _finding(
        chart,
        Verdict.SINGLE_POINT,
        1,
        f"{chart.metric} has one point",
        "one value was logged: a result rather than a history",
        f'run.summary["{chart.metric}"] = value',
        repairable=bool(_RESULT.search(chart.metric)),
    )


RULES: tuple[Callable[[Chart], Finding | None], ...] = (
    empty,
    not_numeric,
    frozen,
    ambiguous_axis,
    orphan,
    lagging,
    backwards,
    stale,
    not_finite,
    single_point,
)
"""Every rule about a chart that has rows; the first that applies gives the verdict."""


def never_logged(metric: str, stage: str | None, *, axis: str, finished: bool, lost: int, meant: str | None) -> Finding:
    """The finding for a defined name or glob, or all metrics of a declared stage, without a row.

    Args:
        axis: the step metric that was defined for it.
        lost: how many calls of ``log()`` wandb dropped in this run.
        meant: a metric that was logged and that the definition was probably meant for.
    """
    code = Verdict.NEVER_LOGGED
    name = metric.replace("*", "loss") if metric.endswith("/*") else metric
    cause = "the code that logs it never ran, or logs it under another name"
    fix = f'run.log({{"{name}": value, "{axis}": step}})' if axis != DEFAULT_AXIS else f'run.log({{"{name}": value}})'
    if meant is not None:
        wanted = meant.rpartition("/")[0] + "/*" if metric.endswith("*") and "/" in meant else meant
        cause = f"it does not match {meant}, which was probably meant: only a trailing '*' is a wildcard"
        fix = f'run.define_metric("{wanted}", step_metric="{axis}")'
    elif lost:
        cause = f"wandb dropped {lost:,} calls of log() whose step= went back: its rows were probably among them"
        fix += "  # without step="
    return Finding(
        code=code,
        severity=severity_of(code, finished=finished),
        metric=metric,
        message=f"{metric} has not one row",
        cause=cause,
        fix=fix,
        repairable=False,
        count=0,
        stage=stage,
    )


def _finding(
    chart: Chart, verdict: Verdict, count: int, message: str, cause: str, fix: str, *, repairable: bool | None = None
) -> Finding:
    return Finding(
        code=verdict,
        severity=severity_of(verdict, finished=chart.finished),
        metric=chart.metric,
        message=message,
        cause=cause,
        fix=fix,
        repairable=verdict in _REPAIRABLE if repairable is None else repairable,
        count=count,
        stage=chart.stage,
    )


def _log(chart: Chart) -> str:
    """The call that puts the metric and its axis in one row."""
    return f'run.log({{"{chart.metric}": value, "{chart.axis.metric}": step}})'


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
