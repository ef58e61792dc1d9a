"""A repair's plan → the run as it was meant, in memory: what ``ups repair`` would write, without writing it."""

import copy
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS, Definitions
from ups.repair.plan import Plan
from ups.repair.rows import StepNumbers
from ups.runfile import Run
from ups.runfile.history import Column, Columns
from ups.runfile.items import Form

__all__ = ["meant_run"]

_Rows = NDArray[np.int64]
_NOTHING: _Rows = np.empty(0, dtype=np.int64)


def meant_run(plan: Plan) -> Run:
    """The run that a plan leads to. Its rows are numbered in the order in which they would be written."""
    run = plan.run
    order = _Order(plan)
    made: dict[str, Column] = {}
    gone = _removed(plan)
    changed = {axis: (mended.rows, mended.x) for axis, mended in plan.mended.items()}
    later = {name: mended.moved for axis, mended in plan.mended.items() for name in (axis, *mended.metrics)}
    back = _from_journal(plan)
    for name in dict.fromkeys([*run.logged, *changed, "_timestamp", *back]):
        column = run.column(name) or Column(_NOTHING, np.empty(0), np.empty(0, dtype=np.uint8))
        if name in changed:
            column = _with_changes(column, *changed[name])
        rows, values, forms = column.rows, column.values, column.forms
        kept = ~np.isin(rows, gone[name]) if name in gone else np.ones(len(rows), dtype=np.bool_)
        rows, values, forms = rows[kept], values[kept], forms[kept]
        moved = order.of_rows(rows, np.isin(rows, later.get(name, _NOTHING)))
        if name == "_timestamp" and len(order.moved):  # both parts of a row that is split have its time
            copies = np.isin(order.moved, rows)
            parts = order.moved[copies]
            moved = np.concatenate([moved, order.of_rows(parts, np.ones(len(parts), dtype=np.bool_))])
            at = np.searchsorted(rows, parts)
            values, forms = np.concatenate([values, values[at]]), np.concatenate([forms, forms[at]])
        if name in back:
            numbers, more = back[name]
            moved = np.concatenate([moved, order.of_journal(numbers)])
            values = np.concatenate([values, more])
            forms = np.concatenate([forms, np.full(len(more), Form.NUMBER, dtype=np.uint8)])
        if len(moved):
            sort = np.argsort(moved, kind="stable")
            made[name] = Column(moved[sort], values[sort], forms[sort], column.sample)
    left = order.without_emptied(made.items(), gone.values())
    columns = Columns(hidden=None)
    for name, column in made.items():
        held = left[column.rows] >= 0
        columns.put(name, Column(left[column.rows][held], column.values[held], column.forms[held], column.sample))
    return run.with_columns(columns, order.steps(left >= 0), _definitions(plan))


class _Order:
    """Where each row, each part of a row that moves behind another, and each row of the journal is written."""

    def __init__(self, plan: Plan) -> None:
        rows = plan.run.rows
        self.moved: _Rows = np.unique(np.concatenate([*(mended.moved for mended in plan.mended.values()), _NOTHING]))
        after = np.empty(len(self.moved), dtype=np.int64)
        turn = np.empty(len(self.moved), dtype=np.int64)  # of those behind one row, which comes first
        for mended in plan.mended.values():
            at = np.searchsorted(self.moved, mended.moved)
            after[at], turn[at] = mended.after, np.arange(len(at))
        missing = plan.missing.after if plan.missing is not None else _NOTHING
        self._numbers = plan.missing.number if plan.missing is not None else _NOTHING
        place = np.concatenate([np.arange(rows), after, missing])
        kind = np.concatenate([np.zeros(rows), np.ones(len(after)), np.full(len(missing), 2)])
        turns = np.concatenate([np.zeros(rows, dtype=np.int64), turn, np.arange(len(missing))])
        sort = np.lexsort((turns, kind, place))
        self._at = np.empty(len(sort), dtype=np.int64)
        self._at[sort] = np.arange(len(sort))
        self._rows = rows
        held = plan.run.column(DEFAULT_AXIS)
        self._held = np.full(len(sort), -1, dtype=np.int64)
        if held is not None:
            self._held[self._at[:rows]] = held.values.astype(np.int64)

    def of_rows(self, rows: _Rows, later: NDArray[np.bool_]) -> _Rows:
        """The new numbers of some rows, or, where ``later``, of the parts of them that move."""
        places = rows.copy()
        places[later] = self._rows + np.searchsorted(self.moved, rows[later])
        return self._at[places]

    def of_journal(self, numbers: _Rows) -> _Rows:
        """The new numbers of rows that come back from the journal."""
        return self._at[self._rows + len(self.moved) + np.searchsorted(self._numbers, numbers)]

    def without_emptied(self, columns: Iterable[tuple[str, Column]], removed: Iterable[_Rows]) -> _Rows:
        """Each row's number once those are left out from which everything was taken; -1 for these."""
        kept = np.ones(len(self._at), dtype=np.bool_)
        for rows in removed:
            kept[self._at[rows]] = False
        kept[self._at[self.moved]] = False
        for name, column in columns:
            if not name.startswith("_"):
                kept[column.rows] = True
        return np.where(kept, np.cumsum(kept) - 1, -1)

    def steps(self, kept: NDArray[np.bool_]) -> _Rows:
        """W&B's own step of each row ``kept``, as they are written."""
        held = self._held[kept]
        if (held >= 0).all() and (np.diff(held) > 0).all():
            return held
        numbers = StepNumbers()  # below 0: written behind its place, or from the journal
        return np.array([numbers.next(step if step >= 0 else None) for step in held.tolist()], dtype=np.int64)


def _with_changes(column: Column, rows: _Rows, x: NDArray[np.float64]) -> Column:
    """An axis with new values in some rows, which may not have held it."""
    every = np.union1d(column.rows, rows).astype(np.int64)
    values = np.full(len(every), np.nan)
    forms = np.full(len(every), Form.NUMBER, dtype=np.uint8)
    held = np.searchsorted(every, column.rows)
    values[held], forms[held] = column.values, column.forms
    changed = np.searchsorted(every, rows)
    values[changed], forms[changed] = x, Form.NUMBER
    return Column(every, values, forms, column.sample)


def _removed(plan: Plan) -> dict[str, _Rows]:
    """For each name, the rows that lose it."""
    removed: dict[str, list[_Rows]] = defaultdict(list)
    for name, rows in plan.to_summary.items():
        removed[name].append(rows)
    for axis, mended in plan.mended.items():
        for name in (axis, *mended.metrics):
            removed[name].append(mended.out)
        for name, rows in mended.single.items():
            removed[name].append(rows)
    return {name: np.concatenate(parts) for name, parts in removed.items()}


def _from_journal(plan: Plan) -> dict[str, tuple[_Rows, NDArray[np.float64]]]:
    """For each name, the rows of the journal that come back, by number, and their values."""
    if plan.missing is None or not plan.rows_back:
        return {}
    numbers: dict[str, list[int]] = defaultdict(list)
    values: dict[str, list[float]] = defaultdict(list)
    for number, (_, row) in zip(plan.missing.number.tolist(), plan.missing.rows(), strict=True):
        for name, value in {**row.values, "_timestamp": row.time}.items():
            numbers[name].append(number)
            values[name].append(float(value))
    return {name: (np.array(at, dtype=np.int64), np.array(values[name])) for name, at in numbers.items()}


def _definitions(plan: Plan) -> Definitions:
    """The definitions of the copy: a name that is now defined exactly, an axis that is now hidden."""
    definitions = copy.deepcopy(plan.run.definitions)
    definitions.forget(plan.undefined)
    for axis in plan.hidden:
        definitions.define(axis, hidden=True)
    for metric, axis in plan.definitions.items():
        definitions.define(metric, axis)
    return definitions
