"""The charts that are drawn against one axis: which are right as they are, and which points may be put elsewhere.

The check asks it whether a finding can be repaired, and the repair asks it what to leave as it is.
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

__all__ = ["RESULT", "AxisCharts", "AxisRows", "Points"]

RESULT = re.compile(r"(?:^|[/_.])(?:eval|evaluation|test|testing|final|best|results?)(?:[/_.]|$)", re.IGNORECASE)
"""The names of metrics that are results rather than histories."""


class AxisRows(NamedTuple):
    """The rows that hold an axis.

    Attributes:
        rows: int64, shape (rows,): their numbers.
        x: float64, shape (rows,): the axis's value.
        bare: bool, shape (rows,): whether the row holds no metric that is drawn against the axis.
        twice: how many of them hold it twice: as it was logged, and as wandb filled it in.
    """

    rows: NDArray[np.int64]
    x: NDArray[np.float64]
    bare: NDArray[np.bool_]
    twice: int


class Points(NamedTuple):
    """The points of a chart, in the order in which they were logged.

    Attributes:
        series: the metric against its axis.
        rows: int64, shape (points,): the row of each.
        x, y: float64, shape (points,).
    """

    series: Series
    rows: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]


class AxisCharts:
    """The charts of one axis.

    Args:
        run: the run.
        axis: the axis.
        metrics: the metrics that are drawn against it, each with a row at least.
    """

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
        """How many rows hold a metric before the first row that holds the axis."""
        held, axis = self._run.column(metric), self.axis_rows
        if held is None or axis is None:
            return 0
        return int(np.searchsorted(held.rows, axis.rows[0]))

    @cached_property
    def right(self) -> frozenset[str]:
        """The charts whose x grows from each point to the next: a repair leaves their points and their x alone."""
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
        """True where the points of a chart stand at one x, or fewer than half of its rows make a point."""
        series, _, x, _ = self.points[metric]
        return series.finite > 1 and (2 * len(x) <= series.finite or bool(x[0] == x[-1] and x.min() == x.max()))

    @cached_property
    def _is_forward(self) -> bool:
        """True where the axis never goes back, from row to row."""
        if self.axis_rows is None:
            return True
        x = self.axis_rows.x[np.isfinite(self.axis_rows.x)]
        return bool((x[1:] >= x[:-1]).all())

    def _is_run_again(self, metric: str, x: NDArray[np.float64]) -> bool:
        """True where single steps were run twice, with all that they log: no right chart has their x.

        A result by its name may come twice at one step, from two evaluations. Points at the last x have none
        behind them to be put before.
        """
        shared = x[1:][x[1:] == x[:-1]]
        if not len(shared) or len(np.unique(shared)) < len(shared) or RESULT.search(metric):
            return False
        return self._is_forward and not np.isin(shared, self.right_x).any() and bool(shared.max() < x.max())

    def may_spread(self, metric: str) -> bool:
        """True where points of a chart that share an x can be put between the x around them.

        The axis does not keep up with the metric: it is not in every row, or most x of the chart have several points,
        and most of these as many. It is drawn against no finer axis: no right chart has an x between those of the
        chart, and none at all where the chart is frozen. And not all these points, and of those at one x at most one,
        are in rows of right charts. So the results of two evaluations at one step stay where they are, and those of
        many at a few.
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


def _points(series: Series) -> Points:
    drawn = points(series.x, series.y)
    if drawn.all():
        return Points(series, series.rows, series.x, series.y)
    return Points(series, series.rows[drawn], series.x[drawn], series.y[drawn])


def _is_crowded(x: NDArray[np.float64]) -> bool:
    """True where most x, one after the other, have several points, and most of these as many; but for the last."""
    sizes = np.diff(np.flatnonzero(np.append(True, x[1:] != x[:-1])), append=len(x))
    if 2 * int(np.count_nonzero(sizes > 1)) <= len(sizes):
        return False
    several = sizes[:-1][sizes[:-1] > 1]
    return not len(several) or 2 * int(np.unique(several, return_counts=True)[1].max()) > len(several)


def _union(arrays: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Every value of the arrays once, increasing."""
    found: NDArray[Any] = np.empty(0)
    last = found
    for array in arrays:
        if not np.array_equal(last, array):
            found = np.union1d(found, array) if len(found) else np.unique(array)
        last = array
    return found
