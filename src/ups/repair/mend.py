"""One axis and its charts → the changes of its rows.

A chart is *right* if its x grows from point to point: its points and their x stay as they are, whatever the charts
beside it need. The other charts of the axis are mended. A row that holds both is written as two where the x that was
meant differs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.check import Verdict
from ups.check.axis_charts import AxisCharts
from ups.check.causes import times
from ups.course import MOST_ATTEMPTS, Course, Courses
from ups.repair.meant_axis import Keep, StageRows, attempts_of, count_on, distinct, later_places, meant, superseded
from ups.runfile import Run
from ups.runfile.digits import Values

__all__ = ["MEND", "Mended", "Parts", "mend"]

_REBUILD = {Verdict.EMPTY, Verdict.LAGGING}
_SPREAD = {Verdict.STALE, Verdict.FROZEN}
MEND = {*_REBUILD, *_SPREAD, Verdict.BACKWARDS}
"""The verdicts that another x, or another order, in the rows mends."""

_Rows = NDArray[np.int64]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Parts:
    """The parts of rows that are written as rows of their own; of one row, at most one part.

    Attributes:
        rows: int64, shape (parts,): the rows, in the order in which their parts are written.
        after: int64, shape (parts,): the row behind which each is written; it may be the row itself.
        x: float64 or int64, shape (parts,): the axis in each.
        names: For each metric, and for the axis where nothing that is drawn against it stays in the row, int64: the
            rows that it leaves for the part, increasing.
    """

    rows: _Rows
    after: _Rows
    x: Values
    names: dict[str, _Rows]


@dataclass(frozen=True)
class Mended:
    """An axis as it should be.

    Attributes:
        metrics: The metrics that are drawn against it.
        rows, x: shape (changed,): the rows whose axis changes, increasing, and their new x; int64 where the axis is.
        out: For each metric, and for the axis where nothing that is drawn against it is left, int64: the rows that lose
            it, increasing.
        parts: The parts of rows that are written elsewhere, or with another x than the rest of their row.
        points, gone: The number of points at different x that each chart then has, and of those that it loses.
        touched: The charts of which a point is elsewhere, or gone.
        last: The axis in the last row that is written; None without rows.
        what: Sentences that say what is done.
    """

    metrics: tuple[str, ...]
    rows: _Rows
    x: Values
    out: dict[str, _Rows]
    parts: Parts
    points: dict[str, int]
    gone: dict[str, int]
    touched: frozenset[str]
    last: float | None
    what: tuple[str, ...]


def mend(
    run: Run,
    axis: str,
    metrics: list[str],
    codes: Mapping[str, set[str]],
    keep: Keep,
    *,
    attempts: _Rows | None = None,
) -> Mended:
    """Work out the axis that was meant for the charts against it that have rows, and the points to leave out.

    Among the ``codes`` of the charts' findings is one of :data:`MEND`. ``keep`` names the attempt to keep where some
    overlap; ``attempts``, shape (rows of the run,), numbers each row's, which by default the x of the charts show.
    """
    charts = AxisCharts(run, axis, metrics)
    right = {metric for metric in charts.right if not codes.get(metric, set()) & MEND}
    others = [metric for metric in metrics if metric not in right]
    stage, drawn, origin = _stage_rows(run, axis, metrics)
    work = _Work(stage, drawn, right, others)
    x, what = _meant_x(axis, work, charts, codes)
    number = np.zeros(len(x), dtype=np.int64) if attempts is None else attempts[stage.rows]
    if attempts is None:
        points = {metric: _where(np.isfinite(x[drawn[metric]]), drawn[metric]) for metric in others}
        courses = Courses()
        again = [places for places in points.values() if courses.of(x[places]) is Course.AGAIN]
        number = attempts_of(x, again)
    out: dict[str, _Mask] = {}
    count = int(number[-1]) if len(number) else 0
    if count and attempts is None and (keep == "all" or count > MOST_ATTEMPTS):
        x = count_on(x, number)
        what.append(f"{axis} goes back {times(count)}: it counts on from its last value")
    elif count and keep != "all":
        out = {metric: _superseded(x, stage.metrics[metric], number, keep) for metric in others}
        if any(gone.any() for gone in out.values()):
            what.append(f"{axis} goes back {times(count)}: where attempts overlap, the {keep} is kept")
    counts, lost = {}, {}
    for metric in others:
        gone = out.setdefault(metric, np.zeros(len(x), dtype=np.bool_))
        places = drawn[metric][np.isfinite(x[drawn[metric]])]
        kept = places[~gone[places]]
        lost[metric] = len(places) - len(kept)
        counts[metric] = distinct(x[kept])
        if codes.get(metric, set()) & MEND:  # the same point again is drawn once
            values = run.column(metric)
            assert values is not None
            y = values.values[np.searchsorted(values.rows, stage.rows[kept])]
            gone[kept[_repeated(x[kept], y)]] = True
    for metric in right:
        counts[metric], lost[metric] = len(charts.points[metric].x), 0
    mended = work.arranged(axis, x, out)
    if len(mended.later) and not count:
        what.append(f"points that came out of order are sorted by {axis}")
    return Mended(
        metrics=tuple(metrics),
        rows=stage.rows[mended.changed],
        x=_from(origin, x[mended.changed]),
        out={name: stage.rows[gone] for name, gone in mended.out.items() if gone.any()},
        parts=replace(mended.parts, x=_from(origin, mended.parts.x)),
        points=counts,
        gone=lost,
        touched=frozenset(metric for metric in others if work.is_touched(metric, mended)),
        last=mended.last if mended.last is None else _from(origin, np.array([mended.last])).item(),
        what=tuple(what),
    )


def _meant_x(
    axis: str, work: "_Work", charts: AxisCharts, codes: Mapping[str, set[str]]
) -> tuple[NDArray[np.float64], list[str]]:
    """The x of each row that was meant for the charts that are not right, and sentences about it."""
    stage = work.stage
    rebuilt = {metric for metric in work.others if codes.get(metric, set()) & _REBUILD}
    spread = {metric for metric in work.others if charts.may_spread(metric)}
    crowded = {metric for metric in spread if codes.get(metric, set()) & _SPREAD}
    if not rebuilt and not crowded:
        return stage.x, []
    lagging = any(Verdict.LAGGING in codes.get(metric, set()) for metric in rebuilt) or _comes_after(stage)
    if not lagging and not _has_values(stage):
        stage = replace(stage, x=np.full(len(stage.rows), np.nan))
    moving = work.rows_of(rebuilt | spread)
    if rebuilt:  # a chart beside it that has no x of its own takes part
        moving |= work.rows_of(work.others) & ~np.isfinite(stage.x)
    if lagging:
        moving |= work.rows_of(work.others)
    fixed = work.rows_of(work.right) & moving
    x = np.where(moving & ~stage.bare, meant(stage, fixed=fixed, lagging=lagging), stage.x)
    return x, [_rebuilt(axis, stage, lagging)]


@dataclass(frozen=True)
class _Arranged:
    """The place of everything in the copy. Masks and places are of the stage's rows."""

    changed: _Mask
    out: dict[str, _Mask]
    parts: Parts
    later: _Rows
    last: float | None


@dataclass(frozen=True)
class _Work:
    """The rows of an axis, its right charts and the others."""

    stage: StageRows
    drawn: dict[str, _Rows]
    right: set[str]
    others: list[str]

    def rows_of(self, metrics: Iterable[str]) -> _Mask:
        """True for the rows that hold one of some metrics."""
        held = np.zeros(len(self.stage.rows), dtype=np.bool_)
        for metric in metrics:
            held[self.stage.metrics[metric]] = True
        return held

    def is_touched(self, metric: str, arranged: _Arranged) -> bool:
        """True where a point of a metric has another x, another place, or is gone."""
        drawn = self.drawn[metric]
        moved = np.isin(self.stage.rows[drawn], arranged.parts.names.get(metric, ())).any()
        return bool(moved or (arranged.changed[drawn] | arranged.out[metric][drawn]).any())

    def arranged(self, axis: str, x: NDArray[np.float64], out: dict[str, _Mask]) -> _Arranged:
        """Arrange the rows such that no chart goes back.

        ``x`` is the axis of the charts that are not right; ``out`` marks, for each of these, the rows that lose it.
        """
        stage, size = self.stage, len(self.stage.rows)
        kept = {metric: self.rows_of([metric]) & ~out[metric] for metric in self.others}
        held_right = self.rows_of(self.right)
        held_other = _any(kept.values(), size)
        finite = np.isfinite(x)
        split = held_right & held_other & finite & (x != stage.x)
        back = [metric for metric, mask in kept.items() if (np.diff(x[mask & finite]) < 0).any()]
        if axis == DEFAULT_AXIS:  # whose values follow from the order
            back, split = [], np.zeros(size, dtype=np.bool_)
        leaving = {metric: np.zeros(size, dtype=np.bool_) for metric in self.others}
        after = np.arange(size)
        places = np.flatnonzero(_any((kept[metric] for metric in back), size) & finite)
        after[places] = places[later_places(x[places])]
        later = np.flatnonzero(after != np.arange(size))
        for metric in back:
            leaving[metric][later] = kept[metric][later]
        for metric in self.others:
            leaving[metric] |= kept[metric] & split
        gone_from = _any(leaving.values(), size)  # rows that some part leaves
        parts = np.flatnonzero(gone_from)
        stays = held_right | _any((mask & ~leaving[metric] for metric, mask in kept.items()), size)
        parts = parts[np.lexsort((x[parts], after[parts]))]
        names = {metric: stage.rows[mask] for metric, mask in leaving.items() if mask.any()}
        alone = gone_from & ~stays
        if alone.any():
            names[axis] = stage.rows[alone]
        held_any = self.rows_of(self.others)
        axis_out = held_any & ~held_other & ~held_right
        if axis != DEFAULT_AXIS:
            out = {**out, axis: axis_out}
        changed = held_other & ~held_right & stays & finite & (x != stage.x)
        return _Arranged(
            changed=changed,
            out=out,
            parts=Parts(stage.rows[parts], stage.rows[after[parts]], x[parts], names),
            later=later,
            last=self._last(x, changed, axis_out | alone, parts, after),
        )

    def _last(self, x: NDArray[np.float64], changed: _Mask, without: _Mask, parts: _Rows, after: _Rows) -> float | None:
        """The axis in the row that is written last."""
        written = np.where(changed, x, self.stage.x)
        rows = np.flatnonzero(~without & ~self.stage.bare & np.isfinite(written))
        last = float(written[rows[-1]]) if len(rows) else None
        if len(parts) and (not len(rows) or after[parts[-1]] >= rows[-1]):
            return float(x[parts[-1]])
        return last


def _any(masks: Iterable[_Mask], size: int) -> _Mask:
    """True where one of the masks, each of that size, is."""
    found = np.zeros(size, dtype=np.bool_)
    for mask in masks:
        found |= mask
    return found


def _superseded(x: NDArray[np.float64], held: _Rows, attempts: _Rows, keep: Keep) -> _Mask:
    """The rows of a metric at an x of an attempt that counts instead; none where no x comes in two attempts."""
    out = np.zeros(len(x), dtype=np.bool_)
    places = held[np.isfinite(x[held])]
    values, number = np.unique(x[places], return_inverse=True)
    if len(values) < distinct(number * (int(attempts[-1]) + 1) + attempts[places]):
        out[places] = superseded(x[places], attempts[places], "last" if keep == "last" else "first")
    return out


def _repeated(x: NDArray[np.float64], y: NDArray[np.float64]) -> _Mask:
    """True for the points that have the x and y of one before them."""
    order = np.lexsort((y, x))
    out = np.zeros(len(x), dtype=np.bool_)
    out[order[1:]] = (np.diff(x[order]) == 0) & (np.diff(y[order]) == 0)
    return out


def _stage_rows(run: Run, axis: str, metrics: list[str]) -> tuple[StageRows, dict[str, NDArray[np.int64]], int]:
    """The rows of an axis, for each metric the places in them of its finite values, and where the axis is counted from.

    An axis of whole numbers that float64 would round is counted from its first value.
    """
    columns = {metric: column for metric in metrics if (column := run.column(metric)) is not None}
    own = run.column(axis)
    rows = np.empty(0, dtype=np.int64)
    for column in (*columns.values(), *([] if own is None else [own])):
        if not np.array_equal(rows, column.rows):
            rows = np.union1d(rows, column.rows) if len(rows) else column.rows
    x = np.full(len(rows), np.nan)
    every = np.arange(len(rows))
    origin = 0
    if own is not None:
        values = own.values
        if values.dtype == np.int64:
            origin = int(values[0])
            values = values - origin
        x[np.searchsorted(rows, own.rows)] = np.where(np.isfinite(values), values, np.nan)
    bare = np.ones(len(rows), dtype=np.bool_)
    held = {
        metric: every if len(column.rows) == len(rows) else np.searchsorted(rows, column.rows)
        for metric, column in columns.items()
    }
    for places in held.values():
        bare[places] = False
    drawn = {metric: _where(np.isfinite(column.values), held[metric]) for metric, column in columns.items()}
    return StageRows(rows, x, bare, held), drawn, origin


def _from(origin: int, x: NDArray[np.float64]) -> Values:
    """The values of an axis that was counted from ``origin``."""
    if origin and (x == np.floor(x)).all():
        return x.astype(np.int64) + origin
    return x + origin


def _where(mask: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """``places[mask]``, without a copy where that is all of them."""
    return places if mask.all() else places[mask]


def _comes_after(stage: StageRows) -> bool:
    """True where the axis stands only in rows of its own, each behind the rows that it is meant for."""
    has = np.isfinite(stage.x)
    return _has_values(stage) and not (has & ~stage.bare).any() and not stage.bare[0] and bool(stage.bare[-1])


def _has_values(stage: StageRows) -> bool:
    """True where the axis is in a row of a metric, or has more than one value."""
    has = np.isfinite(stage.x)
    return bool((has & ~stage.bare).any()) or len(np.unique(stage.x[has])) > 1


def _rebuilt(axis: str, stage: StageRows, lagging: bool) -> str:
    if lagging:
        return f"{axis} is moved into the rows before it, for which it was logged"
    values = stage.x[np.isfinite(stage.x)]
    if len(np.unique(values)) < 2:
        return f"{axis} is rebuilt from the order of its {np.count_nonzero(~stage.bare):,} rows"
    return f"{axis} is filled in evenly between the values that were logged"
