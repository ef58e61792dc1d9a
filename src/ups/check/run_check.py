"""A run → its verdicts and findings."""

from collections.abc import Collection, Container, Iterable, Mapping
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS, fitting, metric_key, own_steps, points, stage_of_axis, step_metric
from ups.check.axis_charts import AxisCharts
from ups.check.chart import Chart
from ups.check.findings import ChartCheck, Finding, RunCheck, Verdict
from ups.check.media_rules import media_findings
from ups.check.mismatch import meant_for
from ups.check.rules import RULES, never_logged
from ups.check.run_rules import damaged_file, lost_rows, unfinished
from ups.check.sessions import session_starts
from ups.runfile import Run
from ups.runfile.history import Column

__all__ = ["best_axis", "check_run", "counter_beside", "grown_beside", "own_step"]

_MOST_TRIED = 64  # candidates for the metric's own step metric


def check_run(run: Run) -> RunCheck:
    """Judge every chart of a run, and the run as a whole."""
    axes = {metric: run.axis(metric) for metric in run.charts}
    own = {metric: step for metric, axis in axes.items() if not axis.defined and (step := own_step(run, metric))}
    by_axis: dict[str, list[str]] = {}
    for metric in axes:
        if metric not in own.values():
            by_axis.setdefault(axes[metric].metric, []).append(metric)
    charts_of = {axis: AxisCharts(run, axis, drawn) for axis, drawn in by_axis.items()}
    counters = {
        metric: counter
        for charts in charts_of.values()
        for metric in charts.points
        if axes[metric].defined and charts.draws_no_line(metric) and (counter := counter_beside(run, metric))
    }
    steps = {*own.values(), *counters.values()}
    metrics = [metric for metric in axes if metric not in steps]
    step_metrics = run.definitions.step_metrics()
    logged = [name for name in run.logged if name not in step_metrics]
    unmatched = _unmatched(run, logged, step_metrics)
    meant = meant_for([metric for metric in metrics if not axes[metric].defined], unmatched)
    sessions = tuple(session_starts(run))
    charts: list[ChartCheck] = []
    findings: list[Finding] = []
    for metric in metrics:
        of_axis = charts_of[axes[metric].metric]
        drawn = of_axis.points[metric]
        chart = Chart(
            metric=metric,
            stage=stage_of_axis(axes[metric].metric),
            axis=axes[metric],
            series=drawn.series,
            x=drawn.x,
            y=drawn.y,
            of_axis=of_axis,
            best_axis=best_axis(run, metric),
            own_step=None if _is_own_count(run, metric, own.get(metric)) else own.get(metric),
            counter=counters.get(metric),
            grown=partial(grown_beside, run, metric, axes[metric].metric),
            meant=meant.get(metric),
            sessions=sessions,
            run_id=run.run_id,
            lost=run.lost_rows.count,
            named=run.definitions.is_named(metric),
            finished=run.finished,
        )
        found = [finding for rule in RULES if (finding := rule(chart)) is not None]
        findings += found
        charts.append(
            ChartCheck(
                metric=metric,
                stage=chart.stage,
                axis=chart.axis.metric,
                rows=chart.series.held,
                points=len(chart.x),
                verdict=Verdict(found[0].code) if found else Verdict.FULL,
                line=chart.y,
            )
        )
    for missing, finding in _never_logged(run, unmatched, logged, charts, meant):
        charts.append(missing)
        findings.append(finding)
    stages = dict.fromkeys([*run.stages, *(chart.stage for chart in charts if chart.stage is not None)])
    return RunCheck(
        run_id=run.run_id,
        name=run.name,
        path=run.path,
        rows=run.rows,
        finished=run.finished,
        stages=tuple(stages),
        charts=tuple(charts),
        findings=(*findings, *_run_findings(run)),
    )


def own_step(run: Run, metric: str) -> str | None:
    """The step metric of the metric's stage that would give a full line, if no definition names an axis; else None.

    It is in every row of the metric, each time with a larger value. So an epoch is not an axis for the rows of its
    batches, nor the length of an episode. A step that no definition names counts in whole numbers, unlike a duration.
    """
    held = run.column(metric)
    if held is None or run.axis(metric).defined:
        return None
    defined = run.definitions.step_metrics_around(metric)
    hidden = run.definitions.axes_of_globs(metric)  # a definition of the exact name without an axis hides them
    for step in islice(dict.fromkeys([*hidden, *own_steps(metric, defined)]), _MOST_TRIED):
        x = _beside(run, held, step)
        if x is not None and _grows(x) and (step in hidden or step in defined or _is_whole(x)):
            return step
    return None


def _is_own_count(run: Run, metric: str, step: str | None) -> bool:
    """True where a step equals W&B's own in every row of a metric, so that its line is at the right x."""
    held = run.column(metric)
    if held is None or step is None:
        return False
    x, counted = _beside(run, held, step), _beside(run, held, DEFAULT_AXIS)
    return x is not None and counted is not None and bool((x == counted).all())


def counter_beside(run: Run, metric: str) -> str | None:
    """The metric of the same folder, a step by its name, that grows in whole numbers in every row of a metric."""
    folder = metric.rpartition("/")[0]
    return _first_counter(run, metric, (name for name in run.step_like if name.rpartition("/")[0] == folder))


def grown_beside(run: Run, metric: str, axis: str) -> str | None:
    """The metric other than the axis, a step by its name, that grows through all rows of a metric; None without one.

    If the axis begins again and such a step does not, no step ran twice.
    """
    return _first_counter(run, metric, (name for name in run.step_like if name != axis))


def _first_counter(run: Run, metric: str, names: Iterable[str]) -> str | None:
    """The first name that grows in whole numbers in every row of a metric with several rows; None without one."""
    held = run.column(metric)
    if held is None or len(held.rows) < 2:
        return None
    for name in islice((name for name in names if name != metric), _MOST_TRIED):
        x = _beside(run, held, name)
        if x is not None and _grows(x) and _is_whole(x):
            return name
    return None


def _counts(run: Run, metric: str, step: str) -> bool:
    """True where a step grows in every row of a metric."""
    held = run.column(metric)
    x = None if held is None or step == DEFAULT_AXIS else _beside(run, held, step)
    return x is not None and _grows(x)


def _beside(run: Run, held: Column, name: str) -> NDArray[np.float64] | None:
    """The values of a name in the rows of another name's column; None unless each row holds it."""
    column = run.column(name)
    if column is None:
        return None
    if np.array_equal(held.rows, column.rows):
        return column.values
    if not np.isin(held.rows, column.rows, assume_unique=True).all():
        return None
    return column.values[np.searchsorted(column.rows, held.rows)]


def _grows(x: NDArray[np.float64]) -> bool:
    return bool((x[1:] > x[:-1]).all() and np.isfinite(x).all())


def _is_whole(x: NDArray[np.float64]) -> bool:
    return bool((x == np.floor(x)).all())


def best_axis(run: Run, metric: str) -> str | None:
    """The axis that draws most of the metric, of those that W&B may choose from; None without a choice.

    Of equal ones, that of the nearer glob is taken. A single x, as wandb fills it in, draws nothing.
    """
    drawn: dict[str, int] = {}
    for axis in run.axis(metric).candidates:
        if axis != DEFAULT_AXIS:
            series = run.series(metric, axis=axis)
            x = series.x[points(series.x, series.y)]
            different = len(np.unique(x))
            drawn[axis] = different if different > 1 else 0
    return max(drawn, key=lambda axis: drawn[axis], default=None)


def _never_logged(
    run: Run, unmatched: Iterable[str], logged: Iterable[str], charts: Iterable[ChartCheck], meant: Mapping[str, str]
) -> list[tuple[ChartCheck, Finding]]:
    """Make a chart and a finding for each defined name or glob, and each declared stage, without rows."""
    full = {chart.metric for chart in charts if chart.verdict is Verdict.FULL}
    meant_by = {  # a full chart counts only if its rows hold the axis of the definition
        name: metric
        for metric, name in reversed(list(meant.items()))
        if metric not in full or _counts(run, metric, run.axis(name).metric)
    }
    missing: list[ChartCheck] = []
    for name in unmatched:
        axis = run.axis(name).metric
        missing.append(ChartCheck(name, stage_of_axis(axis), axis, rows=0, points=0, verdict=Verdict.NEVER_LOGGED))
    known = {chart.stage for chart in (*charts, *missing)}
    logged_stages = fitting((metric_key(stage, "*") for stage in run.stages), logged)
    for stage in run.stages:
        every, axis = metric_key(stage, "*"), step_metric(stage)
        if stage not in known and every not in logged_stages:
            missing.append(ChartCheck(every, stage, axis, rows=0, points=0, verdict=Verdict.NEVER_LOGGED))
    lost = run.lost_rows.count if missing else 0
    return [
        (chart, never_logged(chart, finished=run.finished, lost=lost, meant=meant_by.get(chart.metric)))
        for chart in missing
    ]


def _unmatched(run: Run, logged: Collection[str], step_metrics: Container[str]) -> list[str]:
    """The names and globs that were defined for charts but match no logged metric, nor medium."""
    media = [name.removesuffix("._type") for name in logged if name.endswith("._type")]
    fit = fitting(run.definitions.names(), [*logged, *media])
    return [
        name
        for name in run.definitions.names()
        if not (name in step_metrics or name.startswith("_") or run.definitions.is_hidden(name) or name in fit)
    ]


def _run_findings(run: Run) -> list[Finding]:
    """The findings about the run as a whole, and about its media."""
    torn = sum(segment.torn for segment in run.segments[-1:])
    files = [segment.path for segment in run.segments]
    damaged = damaged_file(files, run.damage, run.nameless, run.rows)
    found = (lost_rows(run.lost_rows), damaged, unfinished(run.finished, torn))
    return [*(finding for finding in found if finding is not None), *media_findings(run)]
