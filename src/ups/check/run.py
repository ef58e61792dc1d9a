"""A run → its verdicts and findings."""

from collections.abc import Iterable, Mapping

import numpy as np

from ups.charts import DEFAULT_AXIS, matches, metric_key, own_steps, points, stage_of_axis, step_metric
from ups.check.findings import ChartCheck, Finding, RunCheck, Verdict
from ups.check.mismatch import meant_for
from ups.check.rules import RULES, AxisRows, Chart, never_logged
from ups.check.run_rules import damaged_file, lost_rows, unfinished
from ups.runfile import Run

__all__ = ["check_run", "own_step"]


def check_run(run: Run) -> RunCheck:
    """Judge every chart of a run, and the run as a whole."""
    own_steps = {metric: step for metric in run.charts if (step := own_step(run, metric))}
    metrics = [metric for metric in run.charts if metric not in own_steps.values()]
    axis_rows = {axis: _axis_rows(run, axis, metrics) for axis in {run.axis(metric).metric for metric in metrics}}
    unmatched = [name for name in run.definitions.names() if _is_missing(run, name)]
    meant = meant_for([metric for metric in metrics if not run.axis(metric).defined], unmatched)
    charts: list[ChartCheck] = []
    findings: list[Finding] = []
    for metric in metrics:
        chart = _chart(run, metric, axis_rows[run.axis(metric).metric], own_steps.get(metric), meant.get(metric))
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
    for missing, finding in _never_logged(run, unmatched, charts, meant):
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


def _chart(run: Run, metric: str, axis_rows: AxisRows | None, own_step: str | None, meant: str | None) -> Chart:
    axis, series = run.axis(metric), run.series(metric)
    drawn = points(series.x, series.y)
    return Chart(
        metric=metric,
        stage=stage_of_axis(axis.metric),
        axis=axis,
        series=series,
        x=series.x if drawn.all() else series.x[drawn],
        y=series.y if drawn.all() else series.y[drawn],
        axis_rows=axis_rows,
        own_step=own_step,
        meant=meant,
        finished=run.finished,
    )


def _axis_rows(run: Run, axis: str, metrics: Iterable[str]) -> AxisRows | None:
    column = run.column(axis)
    if column is None:
        return None
    bare = np.full(len(column.rows), axis != DEFAULT_AXIS)
    for metric in metrics:
        held = run.column(metric) if bare.any() and run.axis(metric).metric == axis else None
        if held is not None:
            bare &= ~np.isin(column.rows, held.rows, assume_unique=True)
    return AxisRows(column.rows, column.values, bare)


def own_step(run: Run, metric: str) -> str | None:
    """The step metric of a metric's stage, if every row of it holds that, yet no definition names an axis."""
    held = run.column(metric)
    if held is None or run.axis(metric).defined:
        return None
    for step in own_steps(metric, run.definitions.step_metrics()):
        column = run.column(step)
        if column is not None and np.isin(held.rows, column.rows).all():
            return step
    return None


def _never_logged(
    run: Run, unmatched: Iterable[str], charts: Iterable[ChartCheck], meant: Mapping[str, str]
) -> list[tuple[ChartCheck, Finding]]:
    """A chart and a finding for each defined name or glob, and each declared stage, without a row."""
    logged = {name: metric for metric, name in reversed(list(meant.items()))}
    missing = [
        ChartCheck(name, stage_of_axis(axis), axis, rows=0, points=0, verdict=Verdict.NEVER_LOGGED)
        for name in unmatched
        for axis in [run.axis(name).metric]
    ]
    known = {chart.stage for chart in (*charts, *missing)}
    missing += [
        ChartCheck(every, stage, step_metric(stage), rows=0, points=0, verdict=Verdict.NEVER_LOGGED)
        for stage in run.stages
        for every in [metric_key(stage, "*")]
        if stage not in known and not any(matches(every, metric) for metric in run.logged)
    ]
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
                meant=logged.get(chart.metric),
            ),
        )
        for chart in missing
    ]


def _is_missing(run: Run, name: str) -> bool:
    """Whether a name or glob was defined for charts, and no row holds a metric that it fits."""
    if name in run.definitions.step_metrics() or name.startswith("_") or run.definitions.is_hidden(name):
        return False
    return not any(metric == name or matches(name, metric) for metric in run.logged)


def _run_findings(run: Run) -> list[Finding]:
    """What is wrong with the run as a whole."""
    torn = sum(segment.torn for segment in run.segments[-1:])
    found = (lost_rows(run.lost_rows), damaged_file(run.damage, run.rows), unfinished(run.finished, torn))
    return [finding for finding in found if finding is not None]
