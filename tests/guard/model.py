"""W&B's rows and numbers as wandb-core makes them, in a few lines; and the charts that come of them.

``test_model.py`` holds it against the real client.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ups.charts import DEFAULT_AXIS, Definitions

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


@dataclass
class Model:
    """A run that W&B holds.

    Attributes:
        rows: what it holds.
        calls: the ``define_metric`` calls, with what they say of an axis.
        dropped: the calls of ``log`` that it dropped.
        crowded: True where a dropped call has no room in the row that is open, or that comes next: a name is there, or
            an axis that it could be given.
        current: the number of the open row, or of the next.
        open: the row that is open, if one is.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    crowded: bool = False
    current: int = 0
    open: dict[str, Any] | None = None
    _definitions: Definitions = field(default_factory=Definitions)
    _unsynced: set[str] = field(default_factory=set)
    _last: dict[str, float] = field(default_factory=dict)
    _logged: set[str] = field(default_factory=set)
    _from: dict[str, dict[str, Any]] = field(default_factory=dict)  # the call that each name in the open row is from
    _filled: set[tuple[int, str]] = field(default_factory=set)  # rows with an axis that is from elsewhere
    _made_up: set[tuple[int, str]] = field(default_factory=set)  # rows with an axis never logged, or of two calls
    _beside: set[str] = field(default_factory=set)

    def define_metric(self, name: str, **options: Any) -> None:
        """One definition."""
        self.calls.append((name, options))
        axis = options.get("step_metric")
        self._definitions.define(name, axis, overwrite=bool(options.get("overwrite")))
        self._unsynced.discard(name)
        if options.get("step_sync") is False:
            self._unsynced.add(name)

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """One call."""
        wanted = self._wanted(data)
        if step is not None and step < self.current:
            self.dropped.append(data)
            self.crowded = self.crowded or not wanted.isdisjoint(self._wanted(self.open or {}) | self._beside)
            self._beside |= wanted
            return
        if step is not None and step > self.current:
            self._close(step)
        self.crowded = self.crowded or not wanted.isdisjoint(self._beside)
        self._from |= dict.fromkeys(data, data)
        before = self.open or {}
        for name in data.keys() & before.keys():
            if data[name] != before[name]:
                self._made_up.add((self.current, name))
        self.open = before | data
        if commit or (step is None and commit is None):
            self._close(self.current + 1)

    def finish(self) -> Model:
        """The end of the run."""
        self._close(self.current + 1)
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

    def _close(self, following: int) -> None:
        row, number = self.open, self.current
        self.open, self.current = None, following
        self._beside = set()
        if row is None:
            return
        self._logged |= row.keys()
        for name in list(row):
            axis = self._definitions.axis(name)
            if axis.metric in row and self._from.get(axis.metric) is not self._from[name]:
                self._filled.add((number, axis.metric))
            if axis.metric not in row and axis.metric != DEFAULT_AXIS and not self._is_unsynced(name):
                self._filled.add((number, axis.metric))
                if axis.metric not in self._logged:
                    self._made_up.add((number, axis.metric))
                row[axis.metric] = self._last.get(axis.metric, 0)
        self._from = {}
        self._last.update(row)
        self.rows.append(row | {"_step": number})

    def _is_unsynced(self, name: str) -> bool:
        if self._definitions.is_named(name):
            return name in self._unsynced
        globs = [glob for glob in self._unsynced if glob.endswith("*") and name.startswith(glob[:-1])]
        return bool(globs)
