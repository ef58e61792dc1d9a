"""Checked runs as plain data: the contract of ``ups check --format json``."""

from collections.abc import Iterable
from typing import Any

from ups.check import ChartCheck, RunCheck

__all__ = ["SCHEMA", "as_data", "chart_data"]

SCHEMA = 1


def as_data(checks: Iterable[RunCheck]) -> dict[str, Any]:
    """The checks as one JSON object. Others build on its keys, so they do not change within a schema."""
    return {"schema": SCHEMA, "runs": [_run(check) for check in checks]}


def chart_data(chart: ChartCheck) -> dict[str, Any]:
    """A chart as JSON, without its line."""
    return {
        "metric": chart.metric,
        "stage": chart.stage,
        "axis": chart.axis,
        "rows": chart.rows,
        "points": chart.points,
        "verdict": str(chart.verdict),
    }


def _run(check: RunCheck) -> dict[str, Any]:
    return {
        "run_id": check.run_id,
        "path": str(check.path),
        "rows": check.rows,
        "finished": check.finished,
        "stages": list(check.stages),
        "charts": [chart_data(chart) for chart in check.charts],
        "findings": [
            {
                key: str(value) if key in ("code", "severity") else value
                for key, value in vars(finding).items()
                if key != "stage"
            }
            for finding in check.findings
        ],
    }
