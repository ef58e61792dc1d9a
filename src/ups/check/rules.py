"""The rules: one pure function each, from the facts about a chart to a finding or None."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.check.axis_charts import RESULT
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
from ups.check.findings import Finding, Verdict, severity_of
from ups.text import number_text

__all__ = ["RULES", "never_logged"]

_REPAIRABLE = {
    Verdict.EMPTY,
    Verdict.AMBIGUOUS_AXIS,
    Verdict.ORPHAN,
    Verdict.LAGGING,
    Verdict.BACKWARDS,
}


def empty(chart: Chart) -> Finding | None:
    """At least half of the rows that hold the metric as a number do not hold its axis as one.

    Where the points that there are stand at one x, they are :func:`frozen`.
    """
    series, axis = chart.series, chart.axis.metric
    with_axis = np.isfinite(series.x)
    count = series.held
    if with_axis.any():
        count = series.finite - len(chart.x)
        if not count or 2 * count < series.finite or _at_one_x(chart.x):
            return None
    if not count:
        return None
    fix, late = redefined(chart) or logged_with(chart), False
    if chart.axis_rows is None:
        cause = f"{axis} is only named by define_metric; it was never logged as data"
    elif with_axis.any() and count == chart.before_axis:
        cause = f"{axis} was first logged behind {count:,} rows of {chart.metric}"
        fix += "  # from its first row on"
        late = bool(chart.x[0] < count)
    elif 2 * np.count_nonzero(~with_axis) < count:
        cause = f"{axis} was logged in other rows than {chart.metric}, with step_sync=False"
    else:
        cause = f"{axis} was logged with no finite number"
    return _finding(
        chart,
        Verdict.EMPTY,
        count,
        message=f"{count:,} rows hold {chart.metric}, none holds its axis {axis}"
        if count == series.held
        else f"{count:,} of the {series.held:,} rows that hold {chart.metric} hold no number for its axis {axis}",
        cause=cause,
        fix=fix,
        repairable=series.finite > 0 and not late,
    )


def not_numeric(chart: Chart) -> Finding | None:
    """At least half of the metric's values are no numbers. A None among numbers is a gap that was meant."""
    count, held, sample = chart.series.not_numeric, chart.series.held, chart.series.sample
    if not count or 2 * count < held or (count < held and sample is None):
        return None
    shown = repr(sample) if len(repr(sample)) <= 40 else repr(sample)[:37] + "..."
    values = f"all {count:,}" if count == held else f"{count:,} of the {held:,}"
    name = as_code(chart.metric)
    fix = f"run.log({{{name}: float(value)}})"
    if not _is_number(sample):
        fix = f"run.log({{{name}: value}})  # value: a number that stands for it"
    return _finding(
        chart,
        Verdict.NOT_NUMERIC,
        count,
        message=f"{values} values of {chart.metric} are no numbers, for example {shown}",
        cause="text, None, lists and dictionaries are stored, but no line can show them",
        fix=fix,
    )


def frozen(chart: Chart) -> Finding | None:
    """Two points or more, all at one x."""
    x = chart.x
    if not _at_one_x(x):
        return None
    axis, at = chart.axis.metric, number_text(x[0].item())
    fix = redefined(chart) or logged_with(chart)
    axis_rows = chart.axis_rows
    if axis == DEFAULT_AXIS:
        cause, fix = session_cause(chart)
    elif axis_rows is not None and (axis_rows.x != x[0]).any():
        cause = f"{axis} moves in other rows, and is {at} in each row of {chart.metric}: as it was logged, or filled in"
    else:
        cause = (
            f"{axis} was never logged with a new value, so wandb filled in {at}, or it was logged as {at} in each row"
        )
    cause, fix = held_twice(chart) or (cause, fix)
    return _finding(
        chart,
        Verdict.FROZEN,
        len(x),
        message=f"all {len(x):,} points of {chart.metric} are at {axis} = {at}",
        cause=cause,
        fix=fix,
        repairable=axis == DEFAULT_AXIS or chart.may_spread(),
    )


def ambiguous_axis(chart: Chart) -> Finding | None:
    """More than one glob matches, with different axes, and no exact definition decides."""
    axes = chart.axis.candidates
    if not axes:
        return None
    return _finding(
        chart,
        Verdict.AMBIGUOUS_AXIS,
        len(axes),
        message=f"{chart.metric} may be drawn against {' or '.join(axes)}",
        cause="several globs match its name, and wandb takes any of them, in an order that changes from run to run",
        fix=define(chart.metric, chart.best_axis or DEFAULT_AXIS),
    )


def orphan(chart: Chart) -> Finding | None:
    """The step metric of its own stage is in the same rows, but W&B draws against ``_step``, at other x."""
    if chart.own_step is None or len(chart.x) < 2:
        return None
    missed = f": {chart.meant!r} was probably meant, but" if chart.meant else ":"
    cause = f"no define_metric matches its name{missed} only a trailing '*' is a wildcard, and the rest must fit"
    if chart.named:
        cause = "a define_metric of its exact name leaves out step_metric=, and no glob counts beside it"
    return _finding(
        chart,
        Verdict.ORPHAN,
        chart.series.held,
        message=f"{chart.metric} is drawn against _step, though the same rows hold {chart.own_step}",
        cause=cause,
        fix=define(chart.metric, chart.own_step),
    )


def lagging(chart: Chart) -> Finding | None:
    """The axis moves only in rows of its own, each after the rows that it should have been in.

    A validation before training, and then one after each row of the axis, looks alike but for the end, where a
    value has no axis behind it. While a run has no end, only two points at one x before the axis moves show it.
    """
    axis = chart.axis_rows
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
        cause=f"{chart.axis.metric} comes in a row of its own, after the metric's, where wandb put the last one",
        fix=logged_with(chart),
    )


def backwards(chart: Chart) -> Finding | None:
    """x decreases."""
    back = np.flatnonzero(chart.x[1:] < chart.x[:-1])
    if not back.size:
        return None
    first, axis = int(back[0]), chart.axis.metric
    cause, fix = session_cause(chart) if axis == DEFAULT_AXIS else held_twice(chart) or why_back(chart, int(back.size))
    return _finding(
        chart,
        Verdict.BACKWARDS,
        int(back.size),
        message=f"{axis} goes back {times(back.size)},"
        f" first from {number_text(chart.x[first].item())} to {number_text(chart.x[first + 1].item())}",
        cause=cause,
        fix=fix,
    )


def stale(chart: Chart) -> Finding | None:
    """Part of the points share the x of the one before. The same point again, at one x and y, is nothing to see."""
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
        f"{sizes[most]:,} points stand at {shared}: several rows were logged at one {axis}, or rows without it got its"
        " last value from wandb"
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
        repairable=chart.may_spread(),
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
        cause="the training diverged, or something was divided by zero: W&B leaves these points out",
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
        cause=dropped(lost) if lost else "one value was logged: a result, or a history that ended there",
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
"""Every rule about a chart that has rows; the first that applies gives the verdict."""


def never_logged(metric: str, stage: str | None, *, axis: str, finished: bool, lost: int, meant: str | None) -> Finding:
    """The finding for a defined name or glob, or all metrics of a declared stage, without a row.

    Args:
        axis: the step metric that was defined for it.
        lost: how many calls of ``log()`` wandb dropped in this run.
        meant: a metric that was logged and that the definition was probably meant for.
    """
    code = Verdict.NEVER_LOGGED
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
    chart: Chart, verdict: Verdict, count: int, *, message: str, cause: str, fix: str, repairable: bool | None = None
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


def _at_one_x(x: NDArray[np.float64]) -> bool:
    return len(x) > 1 and bool(x[0] == x[-1] and x.min() == x.max())


def _is_number(sample: object) -> bool:
    """True for text that Python reads as a number."""
    try:
        float(sample)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
    return True
