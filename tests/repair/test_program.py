"""The program of a repair, from runs in memory: which rows the copy holds, and what its edits make of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repair.loops import LoggedRun, logged_runs
from repair.test_property import EXAMPLES, KEEPS
from ups.charts import Definitions
from ups.dashboard.repaired_view import meant_run
from ups.repair import plan_repair
from ups.repair.meant_axis import Keep
from ups.repair.missing_rows import Missing
from ups.repair.program import LEFT_OUT, TO_SUMMARY, Cells, Program, growing
from ups.runfile import Run

Rows = list[dict[str, float]]


def run_of(rows: Iterable[Mapping[str, float]], *names: str) -> Run:
    """A run in memory whose metrics, by their names, are drawn against ``step``."""
    definitions = Definitions()
    for name in names:
        definitions.define(name, "step")
    return Run.from_rows(Path("run"), rows, run_id="run", definitions=definitions, finished=True)


def as_dicts(cells: Mapping[str, Cells]) -> dict[str, dict[int, float]]:
    """For each name, its values by their rows."""
    return {name: dict(zip(each.rows.tolist(), each.values.tolist(), strict=True)) for name, each in cells.items()}


def followed(program: Program, rows: Rows) -> Rows:
    """The rows of the copy, made one by one as the program's docstring has it."""
    moves, settings = as_dicts(program.moves), as_dicts(program.settings)
    made: Rows = []
    for at, source in enumerate(program.source.tolist()):
        rest = {source: int(program.rest[source])}
        row = {name: value for name, value in rows[source].items() if (rest | moves.get(name, {}))[source] == at}
        made.append(row | {name: values[at] for name, values in settings.items() if at in values})
    return made


def held(run: Run) -> Rows:
    """The rows of a run, by its columns."""
    rows: Rows = [{} for _ in range(run.rows)]
    for name in run.logged:
        column = run.column(name)
        assert column is not None
        for row, value in zip(column.rows.tolist(), column.values.tolist(), strict=True):
            rows[row][name] = value
    return rows


@pytest.mark.parametrize(
    ("steps", "grown"),
    [
        ([0, 1, 5, 9], [0, 1, 5, 9]),
        ([0, 1, 0, 4], [0, 1, 2, 6]),  # a later session counts on, with its gaps
        ([0, -1, 1, 2], [0, 1, 2, 3]),  # a row between two others moves those behind it
        ([7, 7, 7], [7, 8, 9]),
        ([2**62, 2**61, 2**62, -1], [2**62, 2**62 + 1, 2**62 + 2, 2**62 + 3]),  # they stay within 64 bits
    ],
)
def test_steps_grow(steps: list[int], grown: list[int]) -> None:
    """Each row has its own step where that is free, and else the next one."""
    assert growing(np.array(steps)).tolist() == grown


def test_a_run_without_faults_has_no_edits() -> None:
    """Its copy has the same rows, under the same steps."""
    program = plan_repair(run_of([{"loss": 1 / (step + 1), "step": step} for step in range(5)], "loss")).program
    assert program.source.tolist() == program.due.tolist() == program.steps.tolist() == [0, 1, 2, 3, 4]
    assert (program.moves, program.settings, program.summary) == ({}, {}, {})


def test_an_axis_that_was_never_logged_is_set_in_each_row() -> None:
    """No value moves; the summary gets the axis's last value."""
    program = plan_repair(run_of([{"loss": 3 - row} for row in range(3)], "loss")).program
    assert as_dicts(program.settings) == {"step": {0: 0, 1: 1, 2: 2}}
    assert (program.moves, program.summary) == ({}, {"step": 2})


def test_an_attempt_that_is_repeated_is_left_out() -> None:
    """Rows of which nothing stays are not written, and no step has to change for that."""
    rows = [{"loss": row, "step": step} for row, step in enumerate([0, 1, 2, 3, 2, 3, 4])]
    program = plan_repair(run_of(rows, "loss")).program
    assert program.source.tolist() == program.steps.tolist() == [0, 1, 4, 5, 6]
    assert program.rest.tolist() == [0, 1, -1, -1, 2, 3, 4]
    out = {2: LEFT_OUT, 3: LEFT_OUT}
    assert as_dicts(program.moves) == {"loss": out, "step": out}
    assert not len(program.renumbered)


def test_a_row_is_taken_apart_where_another_chart_is_right() -> None:
    """Of a row with a full chart, the points that came out of order go to rows of their own, behind later ones."""
    rows = [{"loss": row, "step": step} for row, step in enumerate([0, 10, 5, 20])]
    rows[1]["full"], rows[3]["full"] = 1, 2
    plan = plan_repair(run_of(rows, "loss", "full"))
    program = plan.program
    assert program.source.tolist() == [0, 1, 2, 1, 3]
    assert program.due.tolist() == [0, 1, 2, 2, 3]
    assert program.steps.tolist() == [0, 1, 2, 3, 4]
    assert program.renumbered.tolist() == [3]
    assert as_dicts(program.moves) == {"loss": {1: 3}}
    assert as_dicts(program.settings) == {"step": {3: 10}}
    series = meant_run(plan).series("loss")
    assert (series.x.tolist(), series.y.tolist()) == ([0, 5, 10, 20], [0, 2, 1, 3])


def test_a_result_is_moved_to_the_summary() -> None:
    """One that was logged once, in a row of its own, leaves no row."""
    rows: Rows = [{"loss": row, "step": row} for row in range(3)]
    rows.append({"final/accuracy": 0.9})
    program = plan_repair(run_of(rows, "loss")).program
    assert as_dicts(program.moves) == {"final/accuracy": {3: TO_SUMMARY}}
    assert program.source.tolist() == [0, 1, 2]


def test_rows_of_the_journal_are_due_before_the_row_behind_them() -> None:
    """One before all rows, two behind the first, one at the end; their names' last values go to the summary."""
    run = run_of([{"loss": row, "step": row} for row in range(2)], "loss")
    missing = Missing(Path("run"), np.arange(4), np.array([-1, 0, 0, 1]), last={"loss": 7})
    program = Program(run, {}, {}, missing)
    assert program.source.tolist() == [-1, 0, -1, -1, 1, -1]
    assert program.due.tolist() == [0, 0, 1, 1, 1, 2]
    assert program.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert program.renumbered.tolist() == [0, 1]
    assert program.summary == {"loss": 7}


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(logged=logged_runs(), keep=st.sampled_from(KEEPS))
def test_the_columns_are_the_rows_that_the_program_makes(logged: LoggedRun, keep: Keep) -> None:
    """Following it row by row gives what the view has; what each row needs was read when it is due; steps grow."""
    plan = plan_repair(logged.run(), keep=keep)
    program = plan.program
    assert held(meant_run(plan)) == followed(program, logged.rows)
    assert (np.diff(program.due) >= 0).all()
    assert (program.source <= program.due).all()
    assert (np.diff(program.steps) > 0).all()
