"""A repair's plan → the run as it was meant, in memory: the run that ``ups repair`` would write, without writing it."""

import copy
from collections import defaultdict

import numpy as np

from ups.charts import Definitions
from ups.repair.plan import Plan
from ups.repair.program import Cells, Program
from ups.runfile import Run
from ups.runfile.digits import of_one_type, with_digits_of
from ups.runfile.history import Column, Columns
from ups.runfile.items import Form

__all__ = ["meant_run"]

_NO_CELLS = Cells(np.empty(0, dtype=np.int64), np.empty(0))
_NO_COLUMN = Column(*_NO_CELLS, np.empty(0, dtype=np.uint8))


def meant_run(plan: Plan) -> Run:
    """Carry out a plan on a run's columns."""
    run, program = plan.run, plan.program
    back = _from_journal(plan)
    columns = Columns(hidden=None)
    for name in dict.fromkeys([*run.logged, *program.settings, "_timestamp", *back]):
        column = run.column(name) or _NO_COLUMN
        in_every_part = name == "_timestamp"
        column = _by_source(program, column) if in_every_part else _moved(program, name, column)
        for cells in (program.settings.get(name, _NO_CELLS), back.get(name, _NO_CELLS)):
            column = _with_cells(column, cells)
        if len(column.rows):
            columns.put(name, column)
    return run.with_columns(columns, program.steps, _definitions(plan))


def _by_source(program: Program, column: Column) -> Column:
    """A column whose values stand in each row of the copy that is made of theirs."""
    rows = np.flatnonzero(np.isin(program.source, column.rows))
    places = np.searchsorted(column.rows, program.source[rows])
    return Column(rows, column.values[places], column.forms[places], column.sample)


def _moved(program: Program, name: str, column: Column) -> Column:
    """A column with its values in the rows of the copy that take them."""
    rows = program.rest[column.rows]
    if name in program.moves:
        moved, to = program.moves[name]
        held = np.isin(moved, column.rows)
        rows[np.searchsorted(column.rows, moved[held])] = to[held]
    order = np.argsort(rows, kind="stable")
    order = order[np.searchsorted(rows[order], 0) :]  # without the values that leave the rows
    return Column(rows[order], column.values[order], column.forms[order], column.sample)


def _with_cells(column: Column, cells: Cells) -> Column:
    """A column with new numbers in some rows, which may not have held its name."""
    if not len(cells.rows):
        return column
    stays = ~np.isin(column.rows, cells.rows)
    rows = np.concatenate([column.rows[stays], cells.rows])
    values = np.concatenate(of_one_type(column.values[stays], cells.values))
    forms = np.concatenate([column.forms[stays], np.full(len(cells.rows), Form.NUMBER, dtype=np.uint8)])
    order = np.argsort(rows)
    return Column(rows[order], values[order], forms[order], column.sample)


def _from_journal(plan: Plan) -> dict[str, Cells]:
    """For each name, its values in the rows of the journal that come back."""
    if plan.missing is None or not plan.rows_back:
        return {}
    rows: dict[str, list[int]] = defaultdict(list)
    values: dict[str, list[int | float]] = defaultdict(list)
    for at, row in zip(np.flatnonzero(plan.program.source < 0).tolist(), plan.missing.rows(), strict=True):
        for name, value in {**row.values, "_timestamp": row.time}.items():
            rows[name].append(at)
            values[name].append(value)
    return {
        name: Cells(
            np.array(at, dtype=np.int64), with_digits_of(np.array(values[name], dtype=np.float64), values[name])
        )
        for name, at in rows.items()
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
