"""The axis that was meant: pure functions on the rows of one stage.

A stage's rows are those that hold its axis or a metric that is drawn against it. They make *steps*: a row begins a
new one if its axis has moved, or if it holds a metric that the step has already; so a loss and an accuracy that
were logged in two calls belong to one step. The rows whose axis has moved are *anchors*: they keep their x. The
steps between two anchors are spread evenly, those after the last keep its spacing, and with one anchor or
none they count from its x, or 0. That mends an axis that is missing, frozen or stale; read from the end to the
beginning, with the rows that hold the axis alone as anchors, it mends one that lags.

An axis that goes back makes *attempts*: runs of rows from one going back to the next.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Keep",
    "StageRows",
    "attempts_of",
    "count_on",
    "distinct",
    "later_places",
    "meant",
    "superseded",
]

Keep: TypeAlias = Literal["last", "first", "all"]

_Places: TypeAlias = NDArray[np.int64]
_Values: TypeAlias = NDArray[np.float64]
_Mask: TypeAlias = NDArray[np.bool_]

_AT_ONCE = 65536  # rows that are Python numbers at a time


@dataclass(frozen=True)
class StageRows:
    """The rows that hold an axis or a metric that is drawn against it, in the order in which they were logged.

    Attributes:
        rows: int64, shape (rows,): their numbers in the run, increasing.
        x: float64, shape (rows,): The axis; NaN where it is missing or not a finite number.
        bare: bool, shape (rows,): True where the row holds the axis and no metric.
        metrics: For each metric, int64, shape (its rows,): its rows as places in ``rows``.
    """

    rows: _Places
    x: _Values
    bare: _Mask
    metrics: dict[str, _Places]


def meant(stage: StageRows, *, fixed: _Mask, lagging: bool = False) -> _Values:
    """Work out the axis that was meant; float64, shape (rows,). Anchors keep their x.

    Among rows at one x, the ``fixed`` ones are the anchors, since a chart beside is right there. If the axis is
    ``lagging``, each row's comes in a row of its own after it, and no row is fixed.
    """
    size = len(stage.rows)
    if lagging:
        x = np.where(stage.bare, -stage.x, np.nan)[::-1]
        previous = _previous(size, [size - 1 - places[::-1] for places in stage.metrics.values()])
        return -_spread(x, previous, np.zeros(size, dtype=np.bool_))[::-1]
    return _spread(stage.x, _previous(size, stage.metrics.values()), fixed & np.isfinite(stage.x))


def _previous(size: int, metrics: Iterable[_Places]) -> _Places:
    """For each row, the place of the newest row before it that shares a metric with it; -1 without one."""
    previous = np.full(size, -1, dtype=np.int64)
    for places in metrics:
        previous[places[1:]] = np.maximum(previous[places[1:]], places[:-1])
    return previous


def _spread(x: _Values, previous: _Places, fixed: _Mask) -> _Values:
    anchor = _anchors(x)
    if fixed.any():
        group = np.cumsum(anchor)
        held = np.zeros(int(group[-1]) + 1, dtype=np.bool_)
        held[group[fixed]] = True
        anchor = np.where(held[group], fixed, anchor)
    step = _steps(previous, anchor)
    if np.count_nonzero(anchor) < 2:
        return step + (x[anchor][0] if anchor.any() else 0.0)
    at, value = step[anchor], x[anchor]
    spread = np.empty(int(step[-1]) + 1)
    begins = np.concatenate([[0], np.flatnonzero(np.diff(value) < 0) + 1, [len(value)]])
    for low, high in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True):
        first = int(at[low]) if low else 0
        steps = np.arange(first, int(at[high]) if high < len(at) else len(spread))
        spread[first : first + len(steps)] = _line(steps, at[low:high], value[low:high])
    rounded = np.rint(spread)
    spread = np.where(np.isclose(spread, rounded, rtol=1e-12, atol=1e-9), rounded, spread)
    spread[at] = value
    spread = spread[step]
    if not (value < 0).any():
        spread[(spread < 0) & np.isnan(x)] = np.nan  # before the first value that was logged, no counter is below 0
    return spread


def _line(steps: _Places, at: _Places, value: _Values) -> _Values:
    """The straight lines through the anchors, extended beyond the first and the last."""
    line = np.interp(steps, at, value)
    slopes = np.diff(value) / np.diff(at) if len(at) > 1 else np.ones(1)
    before, after = steps < at[0], steps > at[-1]
    line[before] = value[0] - slopes[0] * (at[0] - steps[before])
    line[after] = value[-1] + slopes[-1] * (steps[after] - at[-1])
    return line


def _anchors(x: _Values) -> _Mask:
    """True where the axis has another value than the last finite one before."""
    anchor = np.isfinite(x)
    places = np.flatnonzero(anchor)
    anchor[places[1:]] = np.diff(x[places]) != 0
    return anchor


def _steps(previous: _Places, anchor: _Mask) -> _Places:
    """The number of each row's step, from 0."""
    begins = np.zeros(len(previous), dtype=np.bool_)
    begin = 0
    for low in range(0, len(previous), _AT_ONCE):
        rows = zip(previous[low : low + _AT_ONCE].tolist(), anchor[low : low + _AT_ONCE].tolist(), strict=True)
        for at, (before, moved) in enumerate(rows, start=low):
            if moved or before >= begin:
                begin = at
                begins[at] = True
    begins[:1] = True
    return np.cumsum(begins) - 1


def distinct(x: NDArray[np.generic]) -> int:
    """The number of different values. Faster than ``np.unique``, which hashes each."""
    ordered = np.sort(x)
    return len(x) and 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def attempts_of(x: _Values, charts: Iterable[_Places]) -> _Places:
    """The number of each row's attempt, from 0: a new one begins where a chart goes back.

    Where rows of several charts lie between a chart's point and one before it in x, the attempt begins at the
    largest of the drops among them. ``x`` is NaN where there is none; each of ``charts`` has its points' places.
    """
    begins = np.zeros(len(x), dtype=np.bool_)
    for places in charts:
        back = np.flatnonzero(np.diff(x[places]) < 0)
        for low, high in zip(places[back].tolist(), places[back + 1].tolist(), strict=True):
            between = low + np.flatnonzero(np.isfinite(x[low : high + 1]))
            begins[between[1 + int(np.argmin(np.diff(x[between])))]] = True
    return np.cumsum(begins)


def superseded(x: _Values, attempts: _Places, keep: Literal["last", "first"]) -> _Mask:
    """The rows whose x lies within the range of an attempt that counts instead; bool, shape (rows,).

    Within its range an attempt is alone, also at an x that it does not have: a line that takes points from two
    attempts in turn jumps between them.
    """
    out = np.zeros(len(x), dtype=np.bool_)
    bounds = np.flatnonzero(np.diff(attempts, prepend=-1, append=-1))
    spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    lows: list[float] = []  # the ranges that are taken, apart from each other and in order
    highs: list[float] = []
    for begin, end in reversed(spans) if keep == "last" else spans:
        values = x[begin:end]
        if lows:
            at = np.searchsorted(np.array(lows), values, side="right") - 1
            out[begin:end] = (at >= 0) & (values <= np.array(highs)[np.maximum(at, 0)])
        finite = values[np.isfinite(values)]
        if len(finite):
            _take(lows, highs, float(finite.min()), float(finite.max()))
    return out


def _take(lows: list[float], highs: list[float], low: float, high: float) -> None:
    first, last = bisect_left(highs, low), bisect_right(lows, high)
    if first < last:
        low, high = min(low, lows[first]), max(high, highs[last - 1])
    lows[first:last] = [low]
    highs[first:last] = [high]


def later_places(x: _Values) -> _Places:
    """The place behind which each row must be written so that a finite x never goes back; its own for nearly all."""
    if not len(x):
        return np.empty(0, dtype=np.int64)
    lowest_from = np.minimum.accumulate(x[::-1])[::-1]
    return np.maximum(np.searchsorted(lowest_from, x, side="left") - 1, np.arange(len(x)))


def count_on(x: _Values, attempts: _Places) -> _Values:
    """The axis with every attempt moved behind the one before, by that one's last spacing."""
    out = x.copy()
    bounds = np.flatnonzero(np.diff(attempts, prepend=-1, append=-1))
    reached, spacing = -np.inf, 1.0
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        finite = x[begin:end][np.isfinite(x[begin:end])]
        if not len(finite):
            continue
        if np.isfinite(reached):
            out[begin:end] += reached + spacing - finite.min()
        reached = float(np.nanmax(out[begin:end]))
        rises = np.diff(np.unique(finite)[-2:])
        spacing = float(rises[0]) if len(rises) else spacing
    return out
