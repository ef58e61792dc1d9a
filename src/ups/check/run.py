"""A run → its verdicts and findings."""

from collections.abc import Collection, Container, Iterable, Mapping
from itertools import islice

import numpy as np

from ups.charts import DEFAULT_AXIS, Axis, fitting, metric_key, own_steps, points, stage_of_axis, step_metric
from ups.check.findings import ChartCheck, Finding, RunCheck, Verdict
from ups.check.media_rules import media_findings
from ups.check.mismatch import meant_for
from ups.check.rules import RULES, AxisRows, Chart, never_logged
from ups.check.run_rules import damaged_file, lost_rows, unfinished
from ups.runfile import Run

__all__ = ["best_axis", "check_run", "own_step"]

_MOST_TRIED = 64  # step metrics that may be the metric's own


def check_run(run: Run) -> RunCheck:
    """Judge every chart of a run, and the run as a whole."""
    axes = {metric: run.axis(metric) for metric in run.charts}
    own = {metric: step for metric, axis in axes.items() if not axis.defined and (step := own_step(run, metric))}
    steps = set(own.values())
    metrics = [metric for metric in run.charts if metric not in steps]
    by_axis: dict[str, list[str]] = {}
    for metric in metrics:
        by_axis.setdefault(axes[metric].metric, []).append(metric)
    axis_rows = {axis: _axis_rows(run, axis, drawn) for axis, drawn in by_axis.items()}
    step_metrics = run.definitions.step_metrics()
    logged = [name for name in run.logged if name not in step_metrics]
    unmatched = _unmatched(run, logged, step_metrics)
    meant = meant_for([metric for metric in metrics if not axes[metric].defined], unmatched)
    charts: list[ChartCheck] = []
    findings: list[Finding] = []
    for metric in metrics:
        axis = axes[metric]
        chart = _chart(run, metric, axis, axis_rows[axis.metric], own.get(metric), meant.get(metric))
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


def _chart(
    run: Run, metric: str, axis: Axis, axis_rows: AxisRows | None, own_step: str | None, meant: str | None
) -> Chart:
    series = run.series(metric, axis=axis.metric)
    drawn = points(series.x, series.y)
    return Chart(
        metric=metric,
        stage=stage_of_axis(axis.metric),
        axis=axis,
        series=series,
        x=series.x if drawn.all() else series.x[drawn],
        y=series.y if drawn.all() else series.y[drawn],
        axis_rows=axis_rows,
        best_axis=best_axis(run, metric),
        own_step=own_step,
        meant=meant,
        lost=run.lost_rows.count,
        named=run.definitions.is_named(metric),
        finished=run.finished,
    )


def _axis_rows(run: Run, axis: str, metrics: Iterable[str]) -> AxisRows | None:
    """The rows that hold an axis, and which of them none of the metrics that are drawn against it."""
    column = run.column(axis)
    if column is None:
        return None
    bare = np.full(len(column.rows), axis != DEFAULT_AXIS)
    for metric in metrics:
        held = run.column(metric) if bare.any() else None
        if held is not None:
            bare &= ~np.isin(column.rows, held.rows, assume_unique=True)
    return AxisRows(column.rows, column.values, bare)


def own_step(run: Run, metric: str) -> str | None:
    """The step metric of a metric's stage, against which its line would be full, yet no definition names an axis.

    Every row of the metric holds it, each with a larger value: an epoch in the rows of its batches, or the length
    of an episode, is no axis for them.
    """
    held = run.column(metric)
    if held is None or run.axis(metric).defined:
        return None
    for step in islice(own_steps(metric, run.definitions.step_metrics_around(metric)), _MOST_TRIED):
        column = run.column(step)
        if column is None:
            continue
        x = column.values
        if not np.array_equal(held.rows, column.rows):
            if not np.isin(held.rows, column.rows, assume_unique=True).all():
                continue
            x = x[np.searchsorted(column.rows, held.rows)]
        if (x[1:] > x[:-1]).all() and np.isfinite(x).all():
            return step
    return None


def best_axis(run: Run, metric: str) -> str | None:
    """Of the axes that W&B may choose from, those of nearer globs first, the one that draws most of the metric.

    None where there is no choice. wandb fills in a single x, which draws nothing.
    """
    drawn: dict[str, int] = {}
    for axis in run.axis(metric).candidates:
        if axis != DEFAULT_AXIS:
            series = run.series(metric, axis=axis)
            x = series.x[points(series.x, series.y)]
            drawn[axis] = len(np.unique(x)) if len(np.unique(x)) > 1 else 0
    return max(drawn, key=lambda axis: drawn[axis], default=None)


def _never_logged(
    run: Run, unmatched: Iterable[str], logged: Iterable[str], charts: Iterable[ChartCheck], meant: Mapping[str, str]
) -> list[tuple[ChartCheck, Finding]]:
    """A chart and a finding for each defined name or glob, and each declared stage, without a row."""
    meant_by = {name: metric for metric, name in reversed(list(meant.items()))}
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
        (
            chart,
            never_logged(
                chart.metric,
                chart.stage,
                axis=chart.axis,
                finished=run.finished,
                lost=lost,
                meant=meant_by.get(chart.metric),
            ),
        )
        for chart in missing
    ]


def _unmatched(run: Run, logged: Collection[str], step_metrics: Container[str]) -> list[str]:
    """The names and globs that were defined for charts, and fit none of the metrics that were logged."""
    fit = fitting(run.definitions.names(), logged)
    return [
        name
        for name in run.definitions.names()
        if not (name in step_metrics or name.startswith("_") or run.definitions.is_hidden(name) or name in fit)
    ]


def _run_findings(run: Run) -> list[Finding]:
    """What is wrong with the run as a whole, and with its media."""
    torn = sum(segment.torn for segment in run.segments[-1:])
    files = [segment.path for segment in run.segments]
    damaged = damaged_file(files, run.damage, run.nameless, run.rows)
    found = (lost_rows(run.lost_rows), damaged, unfinished(run.finished, torn))
    return [*(finding for finding in found if finding is not None), *media_findings(run)]
