"""A repair's plan → the run as it was meant, in memory: what ``ups repair`` would write, without writing it."""

import copy
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from ups.charts import Definitions
from ups.repair.mend import Mended
from ups.repair.order import WrittenOrder
from ups.repair.plan import Plan
from ups.runfile import Run
from ups.runfile.digits import Values, of_one_type, with_digits_of
from ups.runfile.history import Column, Columns
from ups.runfile.items import Form

__all__ = ["meant_run"]

_Rows = NDArray[np.int64]
_NOTHING: _Rows = np.empty(0, dtype=np.int64)


def meant_run(plan: Plan) -> Run:
    """The run that a plan leads to. Its rows are numbered in the order in which they would be written."""
    run = plan.run
    order = WrittenOrder(run, plan.mended, plan.to_summary, plan.missing)
    made: dict[str, Column] = {}
    changed = {axis: (mended.rows, mended.x) for axis, mended in plan.mended.items()}
    axis_of = {name: axis for axis, mended in plan.mended.items() for name in (axis, *mended.metrics)}
    back = _from_journal(plan)
    for name in dict.fromkeys([*run.logged, *changed, "_timestamp", *back]):
        column = run.column(name) or Column(_NOTHING, np.empty(0), np.empty(0, dtype=np.uint8))
        if name in changed:
            column = _with_changes(column, *changed[name])
        gone = _leaving(plan, name, axis_of.get(name))
        stays = ~np.isin(column.rows, gone) if len(gone) else np.ones(len(column.rows), dtype=np.bool_)
        at = [order.of_rows(column.rows[stays])]
        values, forms = [column.values[stays]], [column.forms[stays]]
        for axis, mended in plan.mended.items():
            if name != "_timestamp" and axis_of.get(name) != axis:
                continue
            parts, held = _in_parts(mended, name, axis, column)
            at.append(order.of_parts(axis, parts))
            values.append(mended.parts.x[parts] if name == axis else column.values[held])
            forms.append(np.full(len(parts), Form.NUMBER, dtype=np.uint8) if name == axis else column.forms[held])
        if name in back:
            numbers, more = back[name]
            at.append(order.of_journal(numbers))
            values.append(more)
            forms.append(np.full(len(more), Form.NUMBER, dtype=np.uint8))
        rows = np.concatenate(at)
        sort = np.argsort(rows, kind="stable")
        sort = sort[np.searchsorted(rows[sort], 0) :]  # without the rows that are not written
        if len(sort):
            every = np.concatenate(of_one_type(*values))
            made[name] = Column(rows[sort], every[sort], np.concatenate(forms)[sort], column.sample)
    columns = Columns(hidden=None)
    for name, column in made.items():
        columns.put(name, column)
    return run.with_columns(columns, order.steps(), _definitions(plan))


def _leaving(plan: Plan, name: str, axis: str | None) -> _Rows:
    """The rows that a name is not in any more."""
    gone = [plan.to_summary.get(name, _NOTHING)]
    if axis is not None:
        mended = plan.mended[axis]
        gone += [mended.out.get(name, _NOTHING), mended.parts.names.get(name, _NOTHING)]
    return np.concatenate(gone)


def _in_parts(mended: Mended, name: str, axis: str, column: Column) -> tuple[_Rows, _Rows]:
    """The parts of an axis's rows that hold a name, and the places of their values in its column."""
    parts = np.arange(len(mended.parts.rows))
    if name == axis:
        return parts, _NOTHING
    rows = mended.parts.rows
    if name != "_timestamp":  # which each part of a row has
        parts = parts[np.isin(rows, mended.parts.names.get(name, _NOTHING))]
    parts = parts[np.isin(rows[parts], column.rows)]
    return parts, np.searchsorted(column.rows, rows[parts])


def _with_changes(column: Column, rows: _Rows, x: NDArray[np.float64]) -> Column:
    """An axis with new values in some rows, which may not have held it."""
    every = np.union1d(column.rows, rows).astype(np.int64)
    old, new = of_one_type(column.values, x)
    values = np.empty(len(every), dtype=old.dtype)
    forms = np.full(len(every), Form.NUMBER, dtype=np.uint8)
    held = np.searchsorted(every, column.rows)
    values[held], forms[held] = old, column.forms
    changed = np.searchsorted(every, rows)
    values[changed], forms[changed] = new, Form.NUMBER
    return Column(every, values, forms, column.sample)


def _from_journal(plan: Plan) -> dict[str, tuple[_Rows, Values]]:
    """For each name, the rows of the journal that come back, by number, and their values."""
    if plan.missing is None or not plan.rows_back:
        return {}
    numbers: dict[str, list[int]] = defaultdict(list)
    values: dict[str, list[int | float]] = defaultdict(list)
    for number, (_, row) in zip(plan.missing.number.tolist(), plan.missing.rows(), strict=True):
        for name, value in {**row.values, "_timestamp": row.time}.items():
            numbers[name].append(number)
            values[name].append(value)
    return {
        name: (np.array(at, dtype=np.int64), with_digits_of(np.array(values[name], dtype=np.float64), values[name]))
        for name, at in numbers.items()
    }


def _definitions(plan: Plan) -> Definitions:
    """The definitions of the copy: a name that is now defined exactly, an axis that is now hidden."""
    definitions = copy.deepcopy(plan.run.definitions)
    definitions.forget(plan.undefined)
    for axis in plan.hidden:
        definitions.define(axis, hidden=True)
    for metric, axis in plan.definitions.items():
        definitions.define(metric, axis)
    return definitions
