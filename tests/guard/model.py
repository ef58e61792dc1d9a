"""W&B's run, by the rows that ``ups.journal.wandb_rows`` makes of its calls; and the charts that come of them.

``test_model.py`` holds it against the real client.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ups.charts import DEFAULT_AXIS, Definitions
from ups.journal.wandb_rows import ScriptRow, WandbRows

__all__ = ["Chart", "Model"]


class Chart(NamedTuple):
    """One metric against its axis.

    Attributes:
        axis: the axis.
        points: its x and y.
        filled: True where an x is not from the call that logged the metric.
        invented: True where W&B made an x up, or where two calls gave one.
    """

    axis: str
    points: list[tuple[float, float]]
    filled: bool
    invented: bool


class Model:
    """A run that W&B holds.

    Attributes:
        rows: what it holds.
        calls: the ``define_metric`` calls, with what they say of an axis.
        dropped: the calls of ``log`` that it dropped.
        crowded: True where a dropped call has no room in the row that is open, or that comes next: a name is there, or
            an axis that it could be given.
        open: the row that is open, if one is.
    """

    def __init__(self, current: int = 0) -> None:
        self.rows: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.dropped: list[dict[str, Any]] = []
        self.crowded = False
        self.open: dict[str, Any] | None = None
        self._definitions = Definitions()
        self._wandb = WandbRows(self._definitions, current)
        self._logged: set[str] = set()
        self._from: dict[str, dict[str, Any]] = {}  # the call that each name in the open row is from
        self._filled: set[tuple[int, str]] = set()  # rows with an axis that is from elsewhere
        self._made_up: set[tuple[int, str]] = set()  # rows with an axis never logged, or of two calls
        self._beside: set[str] = set()

    @property
    def current(self) -> int:
        """The number of the open row, or of the next."""
        return self._wandb.current

    def define_metric(self, name: str, **options: Any) -> None:
        """One definition."""
        self.calls.append((name, options))
        self._wandb.define(name, options)

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """One call."""
        wanted, before = self._wanted(data), self.current
        rows = self._wandb.log(data, step, commit, 0.0)
        if step is not None and step < before:
            self.dropped.append(data)
            self.crowded = self.crowded or not wanted.isdisjoint(self._wanted(self.open or {}) | self._beside)
            self._beside |= wanted
            return
        if step is not None and step > before:
            self._closed(rows.pop(0) if self.open is not None else None)
        self.crowded = self.crowded or not wanted.isdisjoint(self._beside)
        self._from |= dict.fromkeys(data, data)
        known = self.open or {}
        number = before if step is None else step
        self._made_up |= {(number, name) for name in data.keys() & known.keys() if data[name] != known[name]}
        self.open = known | data
        if rows:
            self._closed(rows[0])

    def finish(self) -> Model:
        """The end of the run."""
        for row in self._wandb.settle():
            self._closed(row)
        return self

    def axis(self, metric: str) -> str:
        """What a metric is drawn against."""
        return self._definitions.axis(metric).metric

    def axes(self) -> set[str]:
        """Every metric that serves as an axis."""
        return self._definitions.step_metrics()

    def charts(self) -> dict[str, Chart]:
        """Every metric that is not an axis."""
        found: dict[str, Chart] = {}
        for metric in dict.fromkeys(name for row in self.rows for name in row):
            axis = self._definitions.axis(metric)
            if metric in self._definitions.step_metrics() or metric == DEFAULT_AXIS:
                continue
            points, filled, invented = [], False, bool(axis.candidates)
            for row in self.rows:
                if (
                    metric in row
                    and axis.metric in row
                    and math.isfinite(row[metric])
                    and math.isfinite(row[axis.metric])
                ):
                    points.append((row[axis.metric], row[metric]))
                    invented = invented or (row["_step"], axis.metric) in self._made_up
                    filled = filled or (row["_step"], axis.metric) in self._filled
            found[metric] = Chart(axis.metric, points, filled, invented)
        return found

    def _wanted(self, data: dict[str, Any]) -> set[str]:
        """The names of a row, its folders, whose ``step`` can be given to it, and its axes."""
        axes = {self._definitions.axis(name).metric for name in data} - {DEFAULT_AXIS}
        return data.keys() | {f"{name.rpartition('/')[0]}/" for name in data} | axes

    def _closed(self, row: ScriptRow | None) -> None:
        """Note where the names of a closed row are from; None where no row was open."""
        self.open, self._beside = None, set()
        if row is None:
            return
        self._logged |= self._from.keys()
        for name in self._from:
            axis = self._definitions.axis(name).metric
            if axis in row.values and self._from.get(axis) is not self._from[name]:
                self._filled.add((row.number, axis))
                if axis not in self._logged:
                    self._made_up.add((row.number, axis))
        self._from = {}
        self.rows.append(row.values | {"_step": row.number})
