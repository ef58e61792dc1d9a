"""The charts of one axis: those that are right as they are, and the points that may move.

The check asks this module whether a finding can be repaired, and the repair asks it which charts to leave alone.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS, points
from ups.course import Courses
from ups.runfile import Run, Series

__all__ = ["RESULT", "AxisCharts", "AxisRows", "Points", "is_at_one_x"]

RESULT = re.compile(r"(?:^|[/_.])(?:eval|evaluation|test|testing|final|best|results?)(?:[/_.]|$)", re.IGNORECASE)
"""Matches the names of metrics that are results rather than histories."""


class AxisRows(NamedTuple):
    """The rows that hold an axis.

    Attributes:
        rows: Their numbers; int64, shape (rows,).
        x: The value of the axis; float64, shape (rows,).
        bare: True where the row holds no metric that is drawn against the axis; bool, shape (rows,).
        twice: The count of rows that hold the axis twice: as it was logged, and as wandb filled it in.
    """

    rows: NDArray[np.int64]
    x: NDArray[np.float64]
    bare: NDArray[np.bool_]
    twice: int


class Points(NamedTuple):
    """The points of a chart, in the order in which they were logged: arrays of shape (points,)."""

    series: Series
    rows: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


class AxisCharts:
    """The charts of one axis: of the metrics that are drawn against it, each with at least one row."""

    def __init__(self, run: Run, axis: str, metrics: Iterable[str]) -> None:
        self._run = run
        self._axis = axis
        self.courses = Courses()
        self.points = {metric: _points(run.series(metric, axis=axis)) for metric in metrics}

    @cached_property
    def axis_rows(self) -> AxisRows | None:
        """The rows that hold the axis; None where it was never logged."""
        column = self._run.column(self._axis)
        if column is None:
            return None
        bare = np.full(len(column.rows), self._axis != DEFAULT_AXIS)
        for metric in self.points:
            held = self._run.column(metric) if bare.any() else None
            if held is not None:
                bare &= ~np.isin(column.rows, held.rows, assume_unique=True)
        return AxisRows(column.rows, column.values, bare, column.twice)

    def before_axis(self, metric: str) -> int:
        """Count the rows that hold a metric before the first row that holds the axis."""
        held, axis = self._run.column(metric), self.axis_rows
        if held is None or axis is None:
            return 0
        return int(np.searchsorted(held.rows, axis.rows[0]))

    @cached_property
    def right(self) -> frozenset[str]:
        """The charts whose x grows from each point to the next: a repair keeps their points and their x."""
        return frozenset(
            metric for metric, (_, _, x, _) in self.points.items() if len(x) > 1 and bool((x[1:] > x[:-1]).all())
        )

    @cached_property
    def right_rows(self) -> NDArray[np.int64]:
        """The rows that hold a point of a right chart, increasing."""
        return _union(self.points[metric].rows for metric in self.right)

    @cached_property
    def right_x(self) -> NDArray[np.float64]:
        """Every x of a right chart, increasing."""
        return _union(self.points[metric].x for metric in self.right)

    def draws_no_line(self, metric: str) -> bool:
        """True where the points of a chart are at one x, or at most half of its rows make a point."""
        series, _, x, _ = self.points[metric]
        return series.finite > 1 and (2 * len(x) <= series.finite or is_at_one_x(x))

    @cached_property
    def _is_forward(self) -> bool:
        """True where the axis never goes back, from row to row."""
        if self.axis_rows is None:
            return True
        x = self.axis_rows.x[np.isfinite(self.axis_rows.x)]
        return bool((x[1:] >= x[:-1]).all())

    def _is_run_again(self, metric: str, x: NDArray[np.float64]) -> bool:
        """True where single steps ran twice, with all that they log, so that no right chart has their x.

        A metric whose name says that it is a result may have two values at one step, from two evaluations. Points at
        the last x cannot move, since no point comes after them.
        """
        shared = x[1:][x[1:] == x[:-1]]
        if not len(shared) or len(np.unique(shared)) < len(shared) or RESULT.search(metric):
            return False
        return self._is_forward and not np.isin(shared, self.right_x).any() and bool(shared.max() < x.max())

    def may_spread(self, metric: str) -> bool:
        """True where the points of a chart that share an x can move between the x around them.

        All of these must hold:

        - The axis does not keep up with the metric. It is missing in some rows, or most x of the chart have several
          points, and most of these the same number.
        - The axis has no finer values: no right chart has an x between those of the chart. If the chart is frozen, no
          other chart has another x.
        - Some of the points are not in rows of right charts, and at each x at most one of them is.

        So the results of two evaluations at one step stay where they are, and those of many trials at a few budgets.
        """
        series, rows, x, _ = self.points[metric]
        if len(x) < 2:
            return False
        in_every_row = series.finite == len(x)
        if in_every_row and not _is_crowded(x) and not self._is_run_again(metric, x):
            return False
        low, high = x.min(), x.max()
        if low == high:
            return all(not (other.x != low).any() for other in self.points.values())
        used = self.right_x
        inside = used[(used > low) & (used < high)]
        if not np.isin(inside, x).all():
            return False
        fixed = np.isin(rows, self.right_rows, assume_unique=True)
        group = np.cumsum(np.append(True, x[1:] != x[:-1]))
        return not fixed.all() and not (np.bincount(group[fixed]) > 1).any()


def is_at_one_x(x: NDArray[np.float64]) -> bool:
    """True for two points or more that are all at one x."""
    return len(x) > 1 and bool(x[0] == x[-1] and x.min() == x.max())


def _points(series: Series) -> Points:
    drawn = points(series.x, series.y)
    if drawn.all():
        return Points(series, series.rows, series.x, series.y)
    return Points(series, series.rows[drawn], series.x[drawn], series.y[drawn])


def _is_crowded(x: NDArray[np.float64]) -> bool:
    """True where most x, in turn, have several points, and most of these (without the last) the same number."""
    sizes = np.diff(np.flatnonzero(np.append(True, x[1:] != x[:-1])), append=len(x))
    if 2 * int(np.count_nonzero(sizes > 1)) <= len(sizes):
        return False
    several = sizes[:-1][sizes[:-1] > 1]
    return not len(several) or 2 * int(np.unique(several, return_counts=True)[1].max()) > len(several)


def _union(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Join the arrays into increasing values, each once."""
    found: NDArray[Any] = np.empty(0)
    last = found
    for array in arrays:
        if not np.array_equal(last, array):
            found = np.sort(np.concatenate([found, array]) if len(found) else array)
            found = found[np.append(True, found[1:] != found[:-1])[: len(found)]]  # np.unique would load numpy.ma
        last = array
    return found
