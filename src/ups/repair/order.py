"""The order in which the rows of a repaired run are written, and the step of W&B that each of them gets."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.repair.mend import Mended
from ups.repair.missing_rows import Missing
from ups.runfile import Run

__all__ = ["StepNumbers", "WrittenOrder"]

_Rows = NDArray[np.int64]
_HIGHEST = 2**62  # steps beyond are taken for none when a run is read
_NOTHING: _Rows = np.empty(0, dtype=np.int64)


class StepNumbers:
    """W&B's own step of one row after another, which grows: where it would not, it counts on from the row before."""

    def __init__(self) -> None:
        self._last, self._shift = -1, 0

    def next(self, step: int | None) -> int:
        """The number of the next row, which had ``step``; None for one that is written elsewhere, or had none."""
        if step is None:
            taken = self._last + 1
        else:
            taken = max(step + self._shift, self._last + 1)
            if taken > _HIGHEST:
                taken = self._last + 1
            self._shift = taken - step
        self._last = taken
        return taken


class WrittenOrder:
    """Where each row, each part of a row, and each row of the journal is written.

    Rows of which nothing is left are not written.

    Args:
        run: the run.
        mended: the axes that change.
        to_summary: the rows of each metric that is moved to the summary.
        missing: rows that come back from the journal; None without a journal.
    """

    def __init__(
        self, run: Run, mended: Mapping[str, Mended], to_summary: Mapping[str, _Rows], missing: Missing | None
    ) -> None:
        self._rows = run.rows
        self._first_part: dict[str, int] = {}  # of an axis, among all parts
        after: list[_Rows] = []
        for axis, each in mended.items():
            self._first_part[axis] = sum(map(len, after))
            after.append(each.parts.after)
        parts = np.concatenate([*after, _NOTHING])
        self._parts = len(parts)
        self._journal = _NOTHING if missing is None else missing.number
        back = _NOTHING if missing is None else missing.after
        place = np.concatenate([np.arange(self._rows), parts, back])
        kind = np.repeat([0, 1, 2], [self._rows, len(parts), len(back)])
        order = np.lexsort((kind, place))
        at = np.empty(len(order), dtype=np.int64)
        at[order] = np.arange(len(order))
        kept = np.ones(len(order), dtype=np.bool_)
        kept[at[_emptied(run, mended, to_summary)]] = False
        self._at = np.where(kept[at], (np.cumsum(kept) - 1)[at], -1)
        self._written = int(np.count_nonzero(kept))
        held = run.column(DEFAULT_AXIS)
        self._steps = _NOTHING if held is None else held.values.astype(np.int64)

    def of_rows(self, rows: _Rows) -> _Rows:
        """The number in the copy of each of some rows of the run; -1 where it is not written."""
        return self._at[rows]

    def of_parts(self, axis: str, parts: _Rows) -> _Rows:
        """The number in the copy of each of some parts, by their places in the axis's parts."""
        return self._at[self._rows + self._first_part[axis] + parts]

    def of_journal(self, numbers: _Rows) -> _Rows:
        """The number in the copy of each of some rows of the journal, by their numbers there."""
        return self._at[self._rows + self._parts + np.searchsorted(self._journal, numbers)]

    def steps(self) -> _Rows:
        """W&B's own step of each row of the copy; int64, shape (rows written,)."""
        held = np.full(self._written, -1, dtype=np.int64)  # below 0: a part, or from the journal
        at = self._at[: self._rows]
        held[at[at >= 0]] = self._steps[at >= 0]
        if (held >= 0).all() and (np.diff(held) > 0).all():
            return held
        numbers = StepNumbers()
        return np.array([numbers.next(step if step >= 0 else None) for step in held.tolist()], dtype=np.int64)


def _emptied(run: Run, mended: Mapping[str, Mended], to_summary: Mapping[str, _Rows]) -> _Rows:
    """The rows from which every value is taken."""
    taken: dict[str, list[_Rows]] = {name: [rows] for name, rows in to_summary.items()}
    for each in mended.values():
        for name, rows in (*each.out.items(), *each.parts.names.items()):
            taken.setdefault(name, []).append(rows)
    touched = np.unique(np.concatenate([*(rows for each in taken.values() for rows in each), _NOTHING]))
    stays = np.zeros(len(touched), dtype=np.bool_)
    for name in run.logged if len(touched) else ():
        column = run.column(name)
        if column is not None:
            held = np.isin(touched, column.rows, assume_unique=True)
            if name in taken:
                held &= ~np.isin(touched, np.concatenate(taken[name]))
            stays |= held
    return touched[~stays]
