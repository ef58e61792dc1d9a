"""W&B's own step in the copy: charts that it draws keep their x, whatever is written before them.

The steps of a run's rows must grow. Where a session begins at a step that the run has passed, or where rows are added,
the rows behind it get other numbers. A chart that would move by that gets an axis of its own, with its old steps.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.check import RunCheck, Verdict
from ups.check.sessions import Follows, SessionStart, session_starts
from ups.repair.meant_axis import Keep
from ups.repair.mend import MEND, Mended, mend
from ups.repair.missing_rows import Missing
from ups.repair.program import Program
from ups.runfile import Run
from ups.runfile.history import Column, Columns

__all__ = ["KeptSteps", "keep_steps"]

_Rows = NDArray[np.int64]
_NOTHING: _Rows = np.empty(0, dtype=np.int64)


class KeptSteps(NamedTuple):
    """The changes of the charts against W&B's own step.

    Attributes:
        program: The edits of all axes.
        mended: That step, where points of it are left out; and the axis that holds old steps, where there is one.
        definitions: The axis of each chart that needs it.
        what: For each chart that changes, a sentence that says what is done.
    """

    program: Program
    mended: dict[str, Mended]
    definitions: dict[str, str]
    what: dict[str, str]


def keep_steps(
    run: Run,
    check: RunCheck,
    codes: Mapping[str, set[str]],
    mended: Mapping[str, Mended],
    to_summary: Mapping[str, _Rows],
    missing: Missing | None,
    keep: Keep,
) -> KeptSteps:
    """Work out which charts keep their steps on an axis of their own.

    The run has the definitions that the copy has; ``mended`` are the other axes that change.
    """
    drawn = [
        chart.metric
        for chart in check.charts
        if chart.rows and chart.axis == DEFAULT_AXIS and chart.metric not in to_summary
    ]
    broken = [metric for metric in drawn if codes.get(metric, set()) & MEND]
    starts = [start for start in session_starts(run) if start.follows is not Follows.BEHIND]
    found: dict[str, Mended] = {}
    if broken and keep != "all" and any(start.follows is Follows.EARLIER for start in starts):
        found[DEFAULT_AXIS] = mend(run, DEFAULT_AXIS, drawn, codes, keep, attempts=_attempts(run, starts))
    not_behind = [start.session for start in starts if start.follows is not Follows.FROM_ZERO]
    axis, own, what = _free_name(run), list[str](), dict[str, str]()
    while True:  # an axis that sorts its charts adds rows, which may move more charts
        program = Program(run, {**mended, **found}, to_summary, missing)
        more = []
        for metric in drawn:
            rows = _kept(run, metric, found)
            if metric in own or not np.isin(rows, program.renumbered).any():
                continue
            counts_on = keep == "all" or not any(_is_in(rows, session) for session in not_behind)
            if metric in broken and counts_on:
                what[metric] = "W&B's own step counts on over the sessions of the run"
            else:
                more.append(metric)
        if not more:
            break
        own += more
        found |= _with_old_steps(run, axis, own, codes, found)
    what |= dict.fromkeys(own, f"W&B's own step changes in the copy: the chart keeps its steps in {axis}")
    return KeptSteps(program, found, dict.fromkeys(own, axis), what)


def _kept(run: Run, metric: str, found: Mapping[str, Mended]) -> _Rows:
    """The rows of a metric that are not left out."""
    column = run.column(metric)
    if column is None:
        return _NOTHING
    gone = [mended.out[metric] for mended in found.values() if metric in mended.out]
    return column.rows[~np.isin(column.rows, np.concatenate(gone))] if gone else column.rows


def _is_in(rows: _Rows, session: tuple[int, int]) -> bool:
    begin, end = np.searchsorted(rows, session)
    return bool(begin < end)


def _attempts(run: Run, starts: Iterable[SessionStart]) -> _Rows:
    """The number of each row's attempt: one begins with each session that was resumed from an earlier step."""
    number = np.zeros(run.rows, dtype=np.int64)
    for start in starts:
        if start.follows is Follows.EARLIER:
            number[start.session.begin] = 1
    return np.cumsum(number)


def _free_name(run: Run) -> str:
    """A name for the axis that nothing in the run has."""
    names = {*run.logged, *run.definitions.names(), *run.definitions.step_metrics()}
    numbered = (f"old_step{number}" for number in count(2))
    return next(name for name in chain(("step", "old_step"), numbered) if name not in names)


def _with_old_steps(
    run: Run, axis: str, metrics: list[str], codes: Mapping[str, set[str]], found: Mapping[str, Mended]
) -> dict[str, Mended]:
    """The axis that holds the old step in each row of some charts; W&B's own step without these.

    Where two processes wrote at once, the points of both are sorted.
    """
    steps = run.column(DEFAULT_AXIS)
    assert steps is not None
    columns, held = Columns(hidden=None), np.zeros(run.rows, dtype=np.bool_)
    out: dict[str, _Rows] = {}
    gone: dict[str, int] = {}
    before: dict[str, Mended] = {}
    for name, mended in found.items():
        out |= {metric: rows for metric, rows in mended.out.items() if metric in metrics}
        gone |= {metric: points for metric, points in mended.gone.items() if metric in metrics}
        if name == DEFAULT_AXIS:
            before[name] = replace(
                mended,
                metrics=tuple(metric for metric in mended.metrics if metric not in metrics),
                out={metric: rows for metric, rows in mended.out.items() if metric not in metrics},
            )
    for metric in metrics:
        column = run.column(metric)
        assert column is not None
        stays = ~np.isin(column.rows, out.get(metric, _NOTHING))
        held[column.rows[stays]] = True
        columns.put(metric, Column(column.rows[stays], column.values[stays], column.forms[stays], column.sample))
    rows = np.flatnonzero(held)
    x = steps.values[rows]
    columns.put(axis, Column(rows, x, np.zeros(len(rows), dtype=np.uint8)))
    definitions = copy.deepcopy(run.definitions)
    for metric in metrics:
        definitions.define(metric, axis)
    view = run.with_columns(columns, steps.values.astype(np.int64), definitions)
    sorting = {metric: codes.get(metric, set()) & {Verdict.BACKWARDS} for metric in metrics}
    one_attempt = np.zeros(run.rows, dtype=np.int64)
    made = mend(view, axis, metrics, sorting, "all", attempts=one_attempt)
    stays = ~np.isin(rows, made.parts.names.get(axis, _NOTHING))
    return {
        **before,
        axis: replace(made, rows=rows[stays], x=x[stays], out={**made.out, **out}, gone={**made.gone, **gone}),
    }
