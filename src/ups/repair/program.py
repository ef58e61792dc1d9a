"""A repair as one program of edits: the rows of the copy, in order, and the values in them that change.

A plan makes it once. Two runners carry it out: :mod:`ups.repair.write` on the records of files, and
:mod:`ups.dashboard.repaired_view` on columns in memory. A row of the copy is the rest of a row of the run, a part of
one that is written elsewhere, or a row of the journal that comes back.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.repair.mend import Mended
from ups.repair.missing_rows import Missing
from ups.runfile import Run
from ups.runfile.digits import Values, of_one_type

__all__ = ["LEFT_OUT", "TO_SUMMARY", "Cells", "Program", "growing"]

LEFT_OUT, TO_SUMMARY = -1, -2
"""Where a value goes that no row of the copy takes."""

_Rows = NDArray[np.int64]
_HIGHEST = 2**62  # steps beyond count as none when a run is read
_NOTHING: _Rows = np.empty(0, dtype=np.int64)


class Cells(NamedTuple):
    """One name in some rows: shape (cells,), the rows increasing, and a value per row."""

    rows: _Rows
    values: Values


class Program:
    """The edits that turn a run into its repaired copy.

    Attributes:
        source: int64, shape (rows of the copy,): The row of the run that each is made of; -1 for a row of the journal.
        due: int64, shape (rows of the copy,), never falling: The last row of the run that is read before each is
            written.
        steps: int64, shape (rows of the copy,), growing: W&B's own step of each.
        rest: int64, shape (rows of the run,): The row of the copy that holds the rest of each; -1 where nothing stays.
        moves: For each name, the rows of the run that it leaves, and the row of the copy that takes each value,
            ``LEFT_OUT`` or ``TO_SUMMARY``. A row listed may lack the name.
        settings: For each axis, the rows of the copy that get a new value, and that value.
        summary: The values that the copy's summary gets, beside those that are moved there.
        renumbered: int64: The rows of the run whose rest has another step in the copy.

    It is made of the axes that change, the rows of each metric that is moved to the summary, and the rows that come
    back from the journal.
    """

    def __init__(
        self, run: Run, mended: Mapping[str, Mended], to_summary: Mapping[str, _Rows], missing: Missing | None
    ) -> None:
        back = _NOTHING if missing is None else missing.after
        every, size = np.arange(run.rows), len(back) + run.rows
        parts = [each.parts for each in mended.values()]
        source = np.concatenate([np.full(len(back), -1), every, *(each.rows for each in parts)])
        due = np.concatenate([back + 1, every, *(each.after for each in parts)])
        first_part = dict(zip(mended, size + np.cumsum([0, *(len(each.rows) for each in parts)]), strict=False))
        moves = _moves(mended, to_summary, first_part)
        written = np.ones(len(source), dtype=np.bool_)
        written[len(back) + _emptied(run, moves)] = False
        order = np.argsort(due, kind="stable")  # at one row: the journal's before it, the rest of it, the parts
        order = order[written[order]]
        place = np.full(len(source), -1, dtype=np.int64)
        place[order] = np.arange(len(order))
        self.source, self.due = source[order], due[order]
        self.rest = place[len(back) : size]
        self.moves = {
            name: Cells(rows, np.where(to < 0, to, place[np.maximum(to, 0)])) for name, (rows, to) in moves.items()
        }
        self.settings = {
            axis: _sorted(
                np.concatenate([self.rest[each.rows], place[first_part[axis] :][: len(each.parts.rows)]]),
                np.concatenate(of_one_type(each.x, each.parts.x)),
            )
            for axis, each in mended.items()
            if axis != DEFAULT_AXIS  # whose values follow from the order
        }
        column = run.column(DEFAULT_AXIS)
        steps = _NOTHING if column is None else column.values.astype(np.int64)
        kept = self.rest >= 0
        held = np.full(len(order), -1, dtype=np.int64)
        held[self.rest[kept]] = steps[kept]
        self.steps = growing(held)
        self.renumbered = np.flatnonzero(kept)[self.steps[self.rest[kept]] != steps[kept]]
        self.summary: dict[str, object] = {
            axis: each.last for axis, each in mended.items() if each.last is not None and axis != DEFAULT_AXIS
        }
        if DEFAULT_AXIS in mended and len(self.steps):
            self.summary[DEFAULT_AXIS] = int(self.steps[-1])
        if missing is not None and len(back):
            self.summary |= missing.last


def growing(steps: _Rows) -> _Rows:
    """Steps that grow from row to row: where one would not, it counts on from the row before, and later ones with it.

    A row that had no step has one below 0.
    """
    if (steps >= 0).all() and (np.diff(steps) > 0).all():
        return steps
    grown = []
    last, shift = -1, 0
    for step in steps.tolist():
        following = last + 1
        last = following if step < 0 else max(step + shift, following)
        if last > _HIGHEST:
            last = following
        if step >= 0:
            shift = last - step
        grown.append(last)
    return np.array(grown, dtype=np.int64)


def _moves(
    mended: Mapping[str, Mended], to_summary: Mapping[str, _Rows], first_part: Mapping[str, int]
) -> dict[str, Cells]:
    """The rows that each name leaves, and where each value goes; a part by its number from ``first_part`` on."""
    found: dict[str, list[Cells]] = {}

    def leave(name: str, rows: _Rows, to: int | _Rows) -> None:
        found.setdefault(name, []).append(Cells(rows, np.broadcast_to(to, rows.shape)))

    for name, rows in to_summary.items():
        leave(name, rows, TO_SUMMARY)
    for axis, each in mended.items():
        for name, rows in each.out.items():
            leave(name, rows, LEFT_OUT)
        by_row = np.argsort(each.parts.rows)
        for name, rows in each.parts.names.items():
            leave(name, rows, first_part[axis] + by_row[np.searchsorted(each.parts.rows, rows, sorter=by_row)])
    return {name: _sorted(*map(np.concatenate, zip(*cells, strict=True))) for name, cells in found.items()}


def _sorted(rows: _Rows, values: Values) -> Cells:
    order = np.argsort(rows, kind="stable")
    return Cells(rows[order], values[order])


def _emptied(run: Run, moves: Mapping[str, Cells]) -> _Rows:
    """The rows that every value leaves."""
    touched = np.unique(np.concatenate([_NOTHING, *(cells.rows for cells in moves.values())]))
    stays = np.zeros(len(touched), dtype=np.bool_)
    for name in run.logged if len(touched) else ():
        column = run.column(name)
        if column is not None:
            held = np.isin(touched, column.rows, assume_unique=True)
            if name in moves:
                held &= ~np.isin(touched, moves[name].rows)
            stays |= held
    return touched[~stays]
