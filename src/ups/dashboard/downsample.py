"""A long line → as many points as a screen can show, with every spike in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tsdownsample import MinMaxDownsampler

from ups.runfile import Run
from ups.runfile.digits import Values, may_be_rounded
from ups.runfile.items import Form

__all__ = [
    "MARK_KINDS",
    "Course",
    "Line",
    "Points",
    "downsample",
    "line_of",
    "mark_kinds",
    "origin_and_digits",
    "seconds_of",
]

MARK_KINDS = ("nan", "inf", "-inf")
_downsampler: Any = MinMaxDownsampler  # it has no types
_FEW = 400  # points that are never reduced
_NUMBER = int(Form.NUMBER)


@dataclass(frozen=True)
class Line:
    """A chart's points, in the order in which they were logged.

    Attributes:
        x: shape (rows,): the axis, or seconds since the run's first row; NaN where it is not known.
        y: shape (rows,): the metric; NaN and the infinities as they were logged.
        rows: int64, shape (rows,): the row of each.
        end: The number of rows that hold the metric, behind which the line continues.
        origin: The x from which :attr:`drawn_x` counts.

    Both x and y are float64, or int64 where float64 would round whole numbers.
    """

    x: Values
    y: Values
    rows: NDArray[np.int64]
    end: int
    origin: int = 0

    @property
    def drawn_x(self) -> NDArray[np.float64]:
        """The x at which each point is drawn, counted from the origin, so that large x that differ still differ."""
        if not self.origin:
            return self.x.astype(np.float64, copy=False)
        # Half of each, then the remainders: the difference of two int64 may be larger than int64.
        halves = (self.x >> 1) - (self.origin >> 1)
        drawn: NDArray[np.float64] = 2.0 * halves + ((self.x & 1) - (self.origin & 1))
        return drawn

    @property
    def drawn_y(self) -> NDArray[np.float64]:
        """The y at which each point is drawn."""
        return self.y.astype(np.float64, copy=False)


@dataclass(frozen=True)
class Course:
    """A whole line in short, for smoothing, which must not see the lowest and highest values alone.

    Attributes:
        x: float64, shape (buckets,): where each bucket of neighbouring points ends.
        y: float64, shape (buckets,): their mean.
        count: int64, shape (buckets,): how many they are.
        breaks: int64: the buckets before which the line is broken.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    count: NDArray[np.int64]
    breaks: NDArray[np.int64]


@dataclass(frozen=True)
class Points:
    """The part of a line that is drawn.

    Attributes:
        x, y: float64, shape (points,): finite.
        breaks: int64: the points before which the line is broken, by values that are not finite; where a line is
            reduced, those only that leave a gap as wide as a pixel. As many as there are points: behind the last.
        mark_x: float64, shape (marks,): where the metric is NaN or infinite.
        mark_kind: int64, shape (marks,): a place in :data:`MARK_KINDS`.
        mark_at: int64, shape (marks,): before which of the points it was logged.
        places: int64, shape (points,): the place of each point among the values that were given.
        course: The line of which the points are an extract; None where they are all.
        total: The number of points in the range that was asked for.
        exact: True where nothing was left out.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    mark_x: NDArray[np.float64]
    mark_kind: NDArray[np.int64]
    mark_at: NDArray[np.int64]
    breaks: NDArray[np.int64]
    places: NDArray[np.int64]
    course: Course | None
    total: int
    exact: bool

    def marks(self) -> list[dict[str, object]]:
        """The marks as JSON has them."""
        each = zip(self.mark_x.tolist(), self.mark_kind.tolist(), self.mark_at.tolist(), strict=True)
        return [{"x": x, "kind": MARK_KINDS[kind], "at": at} for x, kind, at in each]


def line_of(run: Run, metric: str, *, by_time: bool = False, since: int = 0) -> Line:
    """Read a metric's line, without the first ``since`` rows that hold the metric.

    Against time, every row that holds the metric counts, also one without the axis.
    """
    held = run.column(metric)
    if held is None:
        return Line(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64), 0)
    end, origin = len(held.rows), 0
    if by_time:
        rows, y, numbers = held.rows[since:], held.values[since:], held.forms[since:] == _NUMBER
        x = seconds_of(run, rows)
    else:
        series = run.series(metric, since=since)
        rows, x, y, numbers = series.rows, series.x, series.y, series.is_number
        origin = _origin(run, metric)
    if not numbers.all():
        rows, x, y = rows[numbers], x[numbers], y[numbers]
    return Line(x, y, rows, end, origin)


def origin_and_digits(line: Line, places: NDArray[np.int64]) -> dict[str, object]:
    """The JSON beside the numbers of some points; empty where the numbers have every digit.

    ``origin`` is the x from which they count; ``x_digits`` and ``y_digits`` are the whole numbers that were logged.
    """
    found: dict[str, object] = {} if not line.origin else {"origin": str(line.origin)}
    for name, values in (("x_digits", line.x), ("y_digits", line.y)):
        if values.dtype == np.int64:
            found[name] = [str(value) for value in values[places].tolist()]
    return found


def _origin(run: Run, metric: str) -> int:
    """The first value of a metric's axis, where that is a whole number that float64 would round; otherwise 0."""
    axis = run.column(run.axis(metric).metric)
    if axis is None or axis.values.dtype == np.float64 or not may_be_rounded(axis.values[:1]).any():
        return 0
    return int(axis.values[0])


def seconds_of(run: Run, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The seconds from the run's first row to each row; NaN where they are not known."""
    stamps = run.column("_timestamp")
    if stamps is None or not len(stamps.rows):
        return np.full(len(rows), np.nan)
    times = stamps.values.astype(np.float64, copy=False)
    if stamps.rows[-1] == len(stamps.rows) - 1 and (not len(rows) or rows[-1] < len(stamps.rows)):
        seconds: NDArray[np.float64] = times[rows] - times[0]  # every row has one
        return seconds
    at = np.searchsorted(stamps.rows, rows)
    at[at == len(stamps.rows)] = 0
    return np.where(stamps.rows[at] == rows, times[at] - times[0], np.nan)


def mark_kinds(y: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each of some values that are not finite, its place in :data:`MARK_KINDS`. Shape (marks,)."""
    return np.where(np.isnan(y), 0, np.where(y > 0, 1, 2)).astype(np.int64)


def downsample(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    pixels: int,
    *,
    begin: float = -np.inf,
    end: float = np.inf,
) -> Points:
    """Find the points to draw: in each pixel the lowest and the highest, and both ends of the line.

    ``x`` and ``y``, shape (rows,), are in the order in which the points are connected; a y that is not finite becomes a
    mark. Of x only the part from ``begin`` to ``end`` is wanted, and the points beside it, so that the line leaves the
    chart.
    """
    known, finite = np.isfinite(x), np.isfinite(y)
    drawn, bad = known & finite, known & ~finite
    if begin == -np.inf and end == np.inf and len(x) <= max(_FEW, 2 * pixels) and drawn.all():
        none = np.empty(0, dtype=np.int64)
        return Points(x, y, np.empty(0), none, none, none, np.arange(len(x)), None, len(x), True)
    if begin > -np.inf or end < np.inf:
        bad &= (x >= begin) & (x <= end)
        drawn[np.flatnonzero(drawn)[~_near(x[drawn], begin, end)]] = False
    rows, mark_rows = np.flatnonzero(drawn), np.flatnonzero(bad)
    mark_x, kind = x[mark_rows], mark_kinds(y[mark_rows])
    x, y = x[rows], y[rows]
    total = int(np.count_nonzero((x >= begin) & (x <= end)))
    marks = len(mark_x)
    if marks > 3 * pixels:
        low, high = float(mark_x.min()), float(mark_x.max())
        pixel = ((mark_x - low) * ((pixels - 1) / (high - low or 1.0))).astype(np.int64)
        _, first = np.unique(pixel * len(MARK_KINDS) + kind, return_index=True)
        first.sort()
        mark_rows, mark_x, kind = mark_rows[first], mark_x[first], kind[first]
    before = np.searchsorted(np.flatnonzero(bad), rows)
    broken = np.diff(before, prepend=before[:1]) > 0
    keep = _extremes(x, y, pixels)
    if keep is None:
        breaks, course = np.flatnonzero(broken), None
    else:
        broken[1:] &= np.abs(np.diff(x)) >= (x.max() - x.min()) / pixels
        course = _course(x, y, broken, pixels)
        breaks = np.unique(np.searchsorted(keep, np.flatnonzero(broken)))
        x, y, rows = x[keep], y[keep], rows[keep]
    if len(rows) and bad[rows[-1] :].any():
        breaks = np.append(breaks, len(rows))
    at = np.searchsorted(rows, mark_rows)
    return Points(x, y, mark_x, kind, at, breaks, rows, course, total, keep is None and len(mark_x) == marks)


def _near(x: NDArray[np.float64], begin: float, end: float) -> NDArray[np.bool_]:
    """True for the points in a part of x, and for those right before and after one. Shape (points,)."""
    inside = (x >= begin) & (x <= end)
    near = inside.copy()
    near[:-1] |= inside[1:]
    near[1:] |= inside[:-1]
    crossing = np.flatnonzero((x[:-1] < begin) & (x[1:] > end))  # between two points outside
    near[crossing] = near[crossing + 1] = True
    return near


def _extremes(x: NDArray[np.float64], y: NDArray[np.float64], pixels: int) -> NDArray[np.int64] | None:
    """The places of the points to draw; None for all."""
    if len(x) <= max(_FEW, 2 * pixels):
        return None
    if _goes_on(x):
        chosen = _downsampler().downsample(np.ascontiguousarray(x), np.ascontiguousarray(y), n_out=2 * pixels)
    else:  # a line that folds over itself has no pixels in its order: equal shares of its points
        chosen = _downsampler().downsample(np.ascontiguousarray(y), n_out=2 * pixels)
    return np.unique(np.concatenate([[0], chosen.astype(np.int64), [len(x) - 1]]))


def _course(x: NDArray[np.float64], y: NDArray[np.float64], broken: NDArray[np.bool_], pixels: int) -> Course:
    """The mean of each pixel, or of equal shares of a line that folds over itself; none goes over a break."""
    if _goes_on(x):
        bucket = ((x - x[0]) * (pixels / (x[-1] - x[0]))).astype(np.int64)
    else:
        bucket = np.arange(len(x)) * pixels // len(x)
    first = broken | (np.diff(bucket, prepend=-1) > 0)
    starts = np.flatnonzero(first)
    count = np.diff(starts, append=len(x))
    return Course(x[starts + count - 1], np.add.reduceat(y, starts) / count, count, np.flatnonzero(broken[starts]))


def _goes_on(x: NDArray[np.float64]) -> bool:
    """True where a line never goes back."""
    return bool(x[-1] > x[0] and (x[1:] >= x[:-1]).all())
