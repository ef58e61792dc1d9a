"""The rules: one pure function each, from the facts about a chart to a finding or None."""

from collections.abc import Callable

import numpy as np

from ups.charts import DEFAULT_AXIS
from ups.check.axis_charts import RESULT, is_at_one_x
from ups.check.causes import (
    as_code,
    define,
    dropped,
    held_twice,
    logged_with,
    own_axis,
    redefined,
    session_cause,
    times,
    why_back,
)
from ups.check.chart import Chart
from ups.check.findings import ChartCheck, Finding, Verdict
from ups.text import counted, number_text, shown

__all__ = ["RULES", "never_logged"]

_REPAIRABLE = {Verdict.AMBIGUOUS_AXIS, Verdict.ORPHAN, Verdict.LAGGING, Verdict.BACKWARDS}


def empty(chart: Chart) -> Finding | None:
    """At least half of the rows that hold the metric as a number lack a number for its axis.

    If the other rows make points at one x, the chart is :func:`frozen`.
    """
    series, axis = chart.series, chart.axis.metric
    with_axis = np.isfinite(series.x)
    count = series.held
    if with_axis.any():
        count = series.finite - len(chart.x)
        if not count or 2 * count < series.finite or is_at_one_x(chart.x):
            return None
    if not count:
        return None
    fix, late = redefined(chart) or logged_with(chart), False
    if chart.of_axis.axis_rows is None:
        cause = f"define_metric names {axis}, but it was never logged as data"
    elif with_axis.any() and count == chart.of_axis.before_axis(chart.metric):
        cause = f"{axis} was first logged after {counted(count, 'row')} of {chart.metric}"
        fix += "  # from the first row on"
        late = bool(chart.x[0] < count)
    elif 2 * np.count_nonzero(~with_axis) < count:
        cause = f"{axis} was logged in other rows than {chart.metric}, with step_sync=False"
    else:
        cause = f"{axis} was logged as text, None, NaN or an infinity"
    rows = f"all {count:,}" if count == series.held else f"{count:,} of the {series.held:,}"
    return _finding(
        chart,
        Verdict.EMPTY,
        count,
        message=f"{rows} rows that hold {chart.metric} lack a number for its axis {axis}",
        cause=cause,
        fix=fix,
        repairable=series.finite > 0 and not late,
    )


def not_numeric(chart: Chart) -> Finding | None:
    """At least half of the metric's values are not numbers. None among numbers is a deliberate gap."""
    count, held, sample = chart.series.not_numeric, chart.series.held, chart.series.sample
    if not count or 2 * count < held or (count < held and sample is None):
        return None
    values = f"all {count:,}" if count == held else f"{count:,} of the {held:,}"
    name = as_code(chart.metric)
    fix = f"run.log({{{name}: float(value)}})"
    if not _is_number(sample):
        fix = f"run.log({{{name}: value}})  # value: a number instead of it"
    return _finding(
        chart,
        Verdict.NOT_NUMERIC,
        count,
        message=f"{values} values of {chart.metric} are not numbers, for example {shown(sample, 40)}",
        cause="W&B stores text, None, lists and dictionaries, but a line cannot show them",
        fix=fix,
    )


def frozen(chart: Chart) -> Finding | None:
    """Two points or more, all at one x."""
    x = chart.x
    if not is_at_one_x(x):
        return None
    axis, at = chart.axis.metric, number_text(x[0].item())
    fix = redefined(chart) or logged_with(chart)
    axis_rows = chart.of_axis.axis_rows
    if axis == DEFAULT_AXIS:
        cause, fix = session_cause(chart)
    elif axis_rows is not None and (axis_rows.x != x[0]).any():
        cause = (
            f"{axis} changes in other rows, but in each row of {chart.metric} {at} was logged, or wandb filled it in"
        )
    else:
        cause = f"{axis} was never logged with a new value, so wandb filled in {at}; or {at} was logged in each row"
    cause, fix = held_twice(chart) or (cause, fix)
    return _finding(
        chart,
        Verdict.FROZEN,
        len(x),
        message=f"all {len(x):,} points of {chart.metric} are at {axis} = {at}",
        cause=cause,
        fix=fix,
        repairable=axis == DEFAULT_AXIS or chart.of_axis.may_spread(chart.metric),
    )


def ambiguous_axis(chart: Chart) -> Finding | None:
    """Several globs with different axes match, and no exact definition decides."""
    axes = chart.axis.candidates
    if not axes:
        return None
    return _finding(
        chart,
        Verdict.AMBIGUOUS_AXIS,
        len(axes),
        message=f"{chart.metric} may be drawn against {' or '.join(axes)}",
        cause="several globs match its name, and wandb takes one of them, which changes from run to run",
        fix=define(chart.metric, chart.best_axis or DEFAULT_AXIS),
    )


def orphan(chart: Chart) -> Finding | None:
    """The step metric of the metric's own stage is in the same rows, but W&B draws against ``_step``, at other x."""
    if chart.own_step is None or len(chart.x) < 2:
        return None
    missed = f": {chart.meant!r} was probably meant, but" if chart.meant else ":"
    cause = (
        f"no define_metric matches its name{missed} only a trailing '*' is a wildcard, and the rest must be a prefix"
    )
    if chart.named:
        cause = "the define_metric with its exact name leaves out step_metric=, and W&B then ignores all globs"
    return _finding(
        chart,
        Verdict.ORPHAN,
        chart.series.held,
        message=f"{chart.metric} is drawn against _step, though the same rows hold {chart.own_step}",
        cause=cause,
        fix=define(chart.metric, chart.own_step),
    )


def lagging(chart: Chart) -> Finding | None:
    """The axis changes only in rows of its own, each after the rows that it belongs to.

    A validation before training and then one after each row of the axis looks the same, but there the run ends with a
    value. Before a run has ended, two points at one x before the axis changes show that it lags.
    """
    axis = chart.of_axis.axis_rows
    if axis is None or np.count_nonzero(axis.bare) < 2 or len(chart.x) < 2:
        return None
    moved = np.diff(axis.x, prepend=axis.x[:1]) != 0
    bare, rows = axis.rows[axis.bare], chart.series.rows
    if not moved.any() or (moved & ~axis.bare).any() or rows[0] > bare[0]:
        return None
    if rows[-1] > bare[-1] if chart.finished else chart.x[0] != chart.x[1]:
        return None
    return _finding(
        chart,
        Verdict.LAGGING,
        len(chart.x),
        message=f"the {len(chart.x):,} points of {chart.metric} are drawn one step early",
        cause=f"{chart.axis.metric} is in a row of its own after the metric's row, which gets the value before",
        fix=logged_with(chart),
    )


def backwards(chart: Chart) -> Finding | None:
    """The x of the chart decreases."""
    back = np.flatnonzero(chart.x[1:] < chart.x[:-1])
    if not back.size:
        return None
    first, axis = int(back[0]), chart.axis.metric
    cause, fix = session_cause(chart) if axis == DEFAULT_AXIS else held_twice(chart) or why_back(chart, int(back.size))
    return _finding(
        chart,
        Verdict.BACKWARDS,
        int(back.size),
        message=f"{axis} goes back {times(back.size)}, {'first ' * (back.size > 1)}"
        f"from {number_text(chart.x[first].item())} to {number_text(chart.x[first + 1].item())}",
        cause=cause,
        fix=fix,
    )


def stale(chart: Chart) -> Finding | None:
    """Some points share the x of the point before. A point that is repeated at one x and y cannot be seen."""
    at_same_x = chart.x[1:] == chart.x[:-1]
    same = np.flatnonzero(at_same_x & (chart.y[1:] != chart.y[:-1]))
    if not same.size or at_same_x.all():
        return None
    axis = chart.axis.metric
    begins = np.flatnonzero(np.append(True, ~at_same_x))
    sizes = np.diff(begins, append=len(chart.x))
    most = int(np.argmax(sizes))
    shared = f"{axis} = {number_text(chart.x[begins[most]].item())}"
    cause = (
        f"{sizes[most]:,} points are at {shared}: several rows were logged at one {axis}, or wandb filled in its last"
        " value in rows without it"
    )
    fix = redefined(chart) or own_axis(chart)
    if axis == DEFAULT_AXIS:
        cause, fix = session_cause(chart)
    cause, fix = held_twice(chart) or (cause, fix)
    return _finding(
        chart,
        Verdict.STALE,
        int(same.size),
        message=f"{same.size:,} of the {len(chart.x):,} points of {chart.metric} share the x of the point before",
        cause=cause,
        fix=fix,
        repairable=chart.of_axis.may_spread(chart.metric),
    )


def not_finite(chart: Chart) -> Finding | None:
    """Some or all values are NaN or infinite."""
    count = chart.series.not_finite
    if not count:
        return None
    bad = np.flatnonzero(np.isfinite(chart.series.x) & ~np.isfinite(chart.series.y))
    first = f", the first at {chart.axis.metric} = {number_text(chart.series.x[bad[0]].item())}" if bad.size else ""
    return _finding(
        chart,
        Verdict.NOT_FINITE,
        count,
        message=f"{count:,} of the {chart.series.held:,} values of {chart.metric} are NaN or infinite{first}",
        cause="the training diverged, or something was divided by zero; W&B leaves these points out",
        fix="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # or a lower learning rate before that step",
    )


def single_point(chart: Chart) -> Finding | None:
    """One point: a dot, not a line."""
    if len(chart.x) != 1:
        return None
    is_result = bool(RESULT.search(chart.metric))
    lost = chart.lost if not is_result else 0
    return _finding(
        chart,
        Verdict.SINGLE_POINT,
        1,
        message=f"{chart.metric} has one point",
        cause=dropped(lost) if lost else "one value was logged: a result, or a history that ended after its first row",
        fix=f"run.log({{{as_code(chart.metric)}: value}})  # without step="
        if lost
        else f"run.summary[{as_code(chart.metric)}] = value",
        repairable=is_result and chart.series.held == 1,
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
"""Every rule about a chart with rows; the first that applies gives the verdict."""


def never_logged(chart: ChartCheck, *, finished: bool, lost: int, meant: str | None) -> Finding:
    """The finding for a defined name or glob, or for all metrics of a declared stage, without rows.

    ``lost`` counts the calls of ``log()`` that wandb dropped in this run. ``meant`` is a metric with rows that the
    definition was probably meant for.
    """
    metric, axis = chart.metric, chart.axis
    name = metric[:-1] + "loss" if metric.endswith("*") else metric
    cause = "the code that logs it never ran, or logs it under another name"
    fix = f"run.log({{{as_code(name)}: value" + (f", {as_code(axis)}: step}})" if axis != DEFAULT_AXIS else "})")
    if lost:
        cause = dropped(lost)
        fix += "  # without step="
    elif meant is not None:
        wanted = meant.rpartition("/")[0] + "/*" if metric.endswith("*") and "/" in meant else meant
        cause = f"it does not match {meant}, which was probably meant: only a trailing '*' is a wildcard"
        fix = define(wanted, axis)
    message = f"{metric} has no rows"
    return Finding.of(Verdict.NEVER_LOGGED, metric, 0, message, cause, fix, stage=chart.stage, finished=finished)


def _finding(
    chart: Chart, verdict: Verdict, count: int, *, message: str, cause: str, fix: str, repairable: bool | None = None
) -> Finding:
    if repairable is None:
        repairable = verdict in _REPAIRABLE
    return Finding.of(verdict, chart.metric, count, message, cause, fix, repairable=repairable, stage=chart.stage)


def _is_number(sample: object) -> bool:
    """True for a value that Python converts to a number."""
    try:
        float(sample)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
    return True
