"""One axis and its charts → what has to change in which rows."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ups.check import Verdict
from ups.repair.axis import (
    Keep,
    StageRows,
    attempts_of,
    count_on,
    increasing,
    later_places,
    meant,
    moves_too_seldom,
    superseded,
)
from ups.runfile import Run

__all__ = ["MEND", "Mended", "mend"]

_REBUILD = {Verdict.EMPTY, Verdict.FROZEN, Verdict.LAGGING}
MEND = {*_REBUILD, Verdict.STALE, Verdict.BACKWARDS}
"""The verdicts that another x in the rows mends."""


@dataclass(frozen=True)
class Mended:
    """An axis as it should be.

    Attributes:
        metrics: the metrics that are drawn against it.
        rows, x: int64 and float64, shape (changed,): the rows whose axis changes, increasing, and their new x.
        out: int64, shape (left out,): the rows that lose the axis and its metrics.
        single: for a metric, the rows that lose it alone, increasing.
        moved, after: int64, shape (moved,): the rows whose part of this axis is written behind another row, and
            that row; in the order in which they are written.
        points, gone: how many points each chart then has, and how many it has lost.
        touched: the charts of which a point is elsewhere, or gone.
        last: the axis in the last row that is written; None without rows.
        what: what is done, in sentences.
    """

    metrics: tuple[str, ...]
    rows: NDArray[np.int64]
    x: NDArray[np.float64]
    out: NDArray[np.int64]
    single: dict[str, NDArray[np.int64]]
    moved: NDArray[np.int64]
    after: NDArray[np.int64]
    points: dict[str, int]
    gone: dict[str, int]
    touched: frozenset[str]
    last: float | None
    what: tuple[str, ...]


def mend(run: Run, axis: str, metrics: list[str], lines: Iterable[str], troubles: set[str], keep: Keep) -> Mended:
    """Work out the axis that was meant, and the rows that are left out.

    A chart that is drawn right stays so: its rows keep their x, and where they are those of a chart that is not, the
    axis is not worked out anew. Only an axis that lags does so for every chart.

    Args:
        run: The run, in which every one of ``metrics`` is drawn against ``axis``.
        axis: The axis.
        metrics: The charts against it that have rows.
        lines: Those of them that are drawn right: points at increasing x.
        troubles: The codes of their findings, among which is one of :data:`MEND`.
        keep: What to keep where a chart goes back.
    """
    stage, drawn = _stage_rows(run, axis, metrics)
    x, what = stage.x, []
    if troubles & _REBUILD or (Verdict.STALE in troubles and (keep == "all" or moves_too_seldom(stage))):
        lagging = Verdict.LAGGING in troubles or _comes_after(stage)
        if not lagging and not _has_values(stage):
            stage = replace(stage, x=np.full(len(stage.rows), np.nan))
        right = _rows_of(stage, () if lagging else lines)
        others = _rows_of(stage, set(metrics).difference(lines))
        rebuilt = np.where(stage.bare | (right & ~others), stage.x, meant(stage, lagging=lagging))
        if keep == "all" or not (rebuilt != stage.x)[right & np.isfinite(stage.x)].any():
            x = rebuilt
            what.append(_rebuilt(axis, stage, lagging))
    points = {metric: _where(np.isfinite(x[places]), places) for metric, places in drawn.items()}
    attempts = attempts_of(x, points.values())
    out = np.zeros(len(x), dtype=np.bool_)
    count = int(attempts[-1]) + 1 if len(attempts) else 0
    if count > 1 and keep == "all":
        x = count_on(x, attempts)
        what.append(f"{axis} goes back {_times(count - 1)}: it counts on from its last value")
    elif count > 1:
        out = superseded(x, attempts, "last" if keep == "last" else "first")
        what.append(f"{axis} goes back {_times(count - 1)}: where attempts overlap, the {keep} is kept")
    kept = np.flatnonzero(~out & ~stage.bare & np.isfinite(x))
    behind = kept[later_places(x[kept], attempts[kept])] if len(kept) else kept
    order = kept[np.lexsort((x[kept], behind != kept, behind))]
    single: dict[str, NDArray[np.int64]] = {}
    counts: dict[str, int] = {}
    for metric, places in points.items():
        mine = np.zeros(len(x), dtype=np.bool_)
        mine[places] = True
        written = order[mine[order]]
        good = increasing(x[written], keep)
        counts[metric] = int(np.count_nonzero(good))
        if not good.all():
            single[metric] = stage.rows[np.sort(written[~good])]
    after = np.arange(len(x))
    after[kept] = behind
    later = order[after[order] != order]
    changed = ~stage.bare & ~out & np.isfinite(x) & (x != stage.x)
    return Mended(
        metrics=tuple(metrics),
        rows=stage.rows[changed],
        x=x[changed],
        out=stage.rows[out],
        single=single,
        moved=stage.rows[later],
        after=stage.rows[after[later]],
        points=counts,
        gone={metric: len(places) - counts[metric] for metric, places in points.items()},
        touched=frozenset(name for name, at in points.items() if name in single or (changed | out)[at].any()),
        last=float(x[order[-1]]) if len(order) else None,
        what=tuple(what),
    )


def _stage_rows(run: Run, axis: str, metrics: list[str]) -> tuple[StageRows, dict[str, NDArray[np.int64]]]:
    """The rows of an axis, and for each metric the places in them of its finite values."""
    columns = {metric: column for metric in metrics if (column := run.column(metric)) is not None}
    own = run.column(axis)
    rows = np.empty(0, dtype=np.int64)
    for column in (*columns.values(), *([] if own is None else [own])):
        if not np.array_equal(rows, column.rows):
            rows = np.union1d(rows, column.rows) if len(rows) else column.rows
    x = np.full(len(rows), np.nan)
    every = np.arange(len(rows))
    if own is not None:
        x[np.searchsorted(rows, own.rows)] = np.where(np.isfinite(own.values), own.values, np.nan)
    bare = np.ones(len(rows), dtype=np.bool_)
    held = {
        metric: every if len(column.rows) == len(rows) else np.searchsorted(rows, column.rows)
        for metric, column in columns.items()
    }
    for places in held.values():
        bare[places] = False
    drawn = {metric: _where(np.isfinite(column.values), held[metric]) for metric, column in columns.items()}
    return StageRows(rows, x, bare, held), drawn


def _where(mask: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """``places[mask]``, without a copy where that is all of them."""
    return places if mask.all() else places[mask]


def _rows_of(stage: StageRows, metrics: Iterable[str]) -> NDArray[np.bool_]:
    """Which rows hold one of some metrics."""
    held = np.zeros(len(stage.rows), dtype=np.bool_)
    for metric in metrics:
        held[stage.metrics[metric]] = True
    return held


def _comes_after(stage: StageRows) -> bool:
    """Whether the axis is in rows of its own alone, each behind the rows that it is meant for."""
    has = np.isfinite(stage.x)
    return _has_values(stage) and not (has & ~stage.bare).any() and not stage.bare[0] and bool(stage.bare[-1])


def _has_values(stage: StageRows) -> bool:
    """Whether the axis says anything: it is in a row of a metric, or has more than one value."""
    has = np.isfinite(stage.x)
    return bool((has & ~stage.bare).any()) or len(np.unique(stage.x[has])) > 1


def _rebuilt(axis: str, stage: StageRows, lagging: bool) -> str:
    if lagging:
        return f"{axis} is moved into the rows before it, which it was logged for"
    values = stage.x[np.isfinite(stage.x)]
    if len(np.unique(values)) < 2:
        return f"{axis} is rebuilt from the order of its {np.count_nonzero(~stage.bare):,} rows"
    return f"{axis} is filled in evenly between the values that were logged"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
