"""A long line → as many points as a screen can show, with every spike in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tsdownsample import MinMaxDownsampler

from ups.runfile import Run
from ups.runfile.items import Form

__all__ = ["MARK_KINDS", "Line", "Points", "line_of", "mark_kinds", "reduce_line", "seconds_of"]

MARK_KINDS = ("nan", "inf", "-inf")
_downsampler: Any = MinMaxDownsampler  # it has no types
_FEW = 400  # points that are never reduced


@dataclass(frozen=True)
class Line:
    """A chart's points, in the order in which they were logged.

    Attributes:
        x: float64, shape (rows,): the axis, or seconds since the run's first row; NaN where it is not known.
        y: float64, shape (rows,): the metric; NaN and the infinities as they were logged.
        rows: int64, shape (rows,): the row of each.
        end: how many rows hold the metric: where the line goes on.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    rows: NDArray[np.int64]
    end: int


@dataclass(frozen=True)
class Points:
    """What is drawn of a line.

    Attributes:
        x, y: float64, shape (points,): finite.
        mark_x: float64, shape (marks,): where the metric is NaN or infinite.
        mark_kind: int64, shape (marks,): a place in :data:`MARK_KINDS`.
        total: how many points there are in the range that was asked for.
        exact: whether nothing was left out.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    mark_x: NDArray[np.float64]
    mark_kind: NDArray[np.int64]
    total: int
    exact: bool

    def marks(self) -> list[dict[str, object]]:
        """The marks as JSON has them."""
        pairs = zip(self.mark_x.tolist(), self.mark_kind.tolist(), strict=True)
        return [{"x": x, "kind": MARK_KINDS[kind]} for x, kind in pairs]


def line_of(run: Run, metric: str, *, by_time: bool = False, since: int = 0) -> Line:
    """A metric's line, without the first ``since`` rows that hold the metric.

    Args:
        by_time: Against time every row that holds the metric counts, also one without the axis.
    """
    held = run.column(metric)
    if held is None:
        return Line(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64), 0)
    end = len(held.rows)
    if by_time:
        rows, y, numbers = held.rows[since:], held.values[since:], held.forms[since:] == Form.NUMBER
        x = seconds_of(run, rows)
    else:
        series = run.series(metric, since=since)
        rows, x, y, numbers = series.rows, series.x, series.y, series.is_number
    if not numbers.all():
        rows, x, y = rows[numbers], x[numbers], y[numbers]
    return Line(x, y, rows, end)


def seconds_of(run: Run, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """When each row was logged, in seconds since the run's first row; NaN where that is not known."""
    stamps = run.column("_timestamp")
    if stamps is None or not len(stamps.rows):
        return np.full(len(rows), np.nan)
    if stamps.rows[-1] == len(stamps.rows) - 1 and (not len(rows) or rows[-1] < len(stamps.rows)):
        seconds: NDArray[np.float64] = stamps.values[rows] - stamps.values[0]  # every row has one
        return seconds
    at = np.searchsorted(stamps.rows, rows)
    at[at == len(stamps.rows)] = 0
    return np.where(stamps.rows[at] == rows, stamps.values[at] - stamps.values[0], np.nan)


def mark_kinds(y: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each of these values, none of which is finite, its place in :data:`MARK_KINDS`. Shape (marks,)."""
    return np.where(np.isnan(y), 0, np.where(y > 0, 1, 2)).astype(np.int64)


def reduce_line(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    pixels: int,
    *,
    begin: float = -np.inf,
    end: float = np.inf,
) -> Points:
    """The points to draw: in each pixel the lowest and the highest, and both ends of the line.

    Args:
        x, y: shape (rows,), in the order in which they are connected; values that are not finite become marks.
        pixels: the width of the chart.
        begin, end: the part of x that is wanted; the points next to it are given too, so that the line goes on.
    """
    if begin > -np.inf or end < np.inf:
        x, y = _window(x, y, begin, end)
    known, drawn = np.isfinite(x), np.isfinite(y)
    bad = known & ~drawn
    mark_x = x[bad]
    kind = mark_kinds(y[bad])
    drawn &= known
    if not drawn.all():
        x, y = x[drawn], y[drawn]
    total = int(np.count_nonzero((x >= begin) & (x <= end)))
    marks = len(mark_x)
    if marks > 3 * pixels:
        low, high = float(mark_x.min()), float(mark_x.max())
        pixel = ((mark_x - low) * ((pixels - 1) / (high - low or 1.0))).astype(np.int64)
        _, first = np.unique(pixel * len(MARK_KINDS) + kind, return_index=True)
        mark_x, kind = mark_x[first], kind[first]
    keep = _extremes(x, y, pixels)
    exact = keep is None and len(mark_x) == marks
    if keep is not None:
        x, y = x[keep], y[keep]
    return Points(x, y, mark_x, kind, total, exact)


def _window(
    x: NDArray[np.float64], y: NDArray[np.float64], begin: float, end: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows whose x is wanted, and the point before and after each stretch of them, so that the line goes on."""
    points = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    at = x[points]
    inside = (at >= begin) & (at <= end)
    near = inside.copy()
    near[:-1] |= inside[1:]
    near[1:] |= inside[:-1]
    crossing = np.flatnonzero((at[:-1] < begin) & (at[1:] > end))  # between two points, of which none is inside
    near[crossing] = near[crossing + 1] = True
    wanted = ~np.isfinite(y) & (x >= begin) & (x <= end)
    wanted[points[near]] = True
    return x[wanted], y[wanted]


def _extremes(x: NDArray[np.float64], y: NDArray[np.float64], pixels: int) -> NDArray[np.int64] | None:
    """The places of the points to draw; None for all."""
    if len(x) <= max(_FEW, 2 * pixels):
        return None
    if x[-1] > x[0] and bool((x[1:] >= x[:-1]).all()):
        chosen = _downsampler().downsample(np.ascontiguousarray(x), np.ascontiguousarray(y), n_out=2 * pixels)
    else:  # a line that folds over itself has no pixels in its order: equal shares of its points
        chosen = _downsampler().downsample(np.ascontiguousarray(y), n_out=2 * pixels)
    return np.unique(np.concatenate([[0], chosen.astype(np.int64), [len(x) - 1]]))
