"""A repair as data: worked out from a run's check, before anything is written."""

import copy
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS, fitting, points
from ups.check import RunCheck, Verdict, check_run
from ups.check.mismatch import meant_for
from ups.check.run_check import best_axis, counter_beside, grown_beside, own_step
from ups.course import Course, course
from ups.errors import UsageError
from ups.repair.meant_axis import Keep, distinct
from ups.repair.mend import MEND, Mended, mend
from ups.repair.missing_rows import Missing, missing_rows
from ups.repair.program import Program
from ups.repair.steps import keep_steps
from ups.runfile import Run
from ups.runfile.digits import Values
from ups.text import counted

__all__ = ["ChartChange", "Plan", "Unrepaired", "plan_repair"]

_BY_NAME = {Verdict.AMBIGUOUS_AXIS, Verdict.ORPHAN}
_NOT_REPAIRED = {
    Verdict.NEVER_LOGGED: "it has no points",
    Verdict.NOT_NUMERIC: "only numbers make a line",
    Verdict.NOT_FINITE: "no number can replace them",
    Verdict.SINGLE_POINT: "one point makes no line, and its name is not a result's, which would move to the summary",
    Verdict.STALE: "results at one x stay where they are",
    Verdict.FROZEN: "results at one x stay where they are",
}
_RUN_ID = re.compile(r"[^\s/\\#?%:]{1,128}\Z")  # as W&B accepts it


@dataclass(frozen=True)
class ChartChange:
    """The change of one chart.

    Attributes:
        metric: The metric that is drawn.
        verdict: Its verdict before the repair.
        axis: The axis that it gets; None if it will be in the summary alone.
        before, after: Its points at different x, before the repair and after it.
        gone: The number of its points that are left out.
        what: Sentences that say what is done.
    """

    metric: str
    verdict: Verdict
    axis: str | None
    before: int
    after: int
    gone: int
    what: tuple[str, ...]


@dataclass(frozen=True)
class Unrepaired:
    """A finding that stays: its code, its chart (None for the run), and the reason."""

    code: str
    metric: str | None
    why: str


@dataclass(frozen=True)
class Plan:
    """A repair. :func:`ups.repair.write_repair` carries it out.

    Attributes:
        run: The run as it was read.
        run_id: The id of the copy.
        charts: The charts that change.
        unrepaired: The findings that stay, with the reason.
        program: The edits that make the copy's rows.
        definitions: The step metric of each metric that is defined by its exact name.
        hidden: Axes to define without a chart of their own: new ones, and those that no chart uses any more.
        undefined: Names and globs whose definition is left out, since it fits no metric any more.
        missing: Rows that come back from the journal; None without a journal.
        lost: Rows that are gone permanently.
        torn: Bytes of unfinished records, at the ends of files, that are left out.
    """

    run: Run
    run_id: str
    charts: tuple[ChartChange, ...]
    unrepaired: tuple[Unrepaired, ...]
    program: Program
    definitions: dict[str, str]
    hidden: tuple[str, ...]
    undefined: frozenset[str]
    missing: Missing | None
    lost: int
    torn: int

    @property
    def changes_nothing(self) -> bool:
        """True where the copy would be the run as it is."""
        damaged = self.run.damage or self.run.nameless
        return not (self.charts or self.renumbered or self.rows_back or self.torn or damaged)

    @property
    def renumbered(self) -> int:
        """Rows that get another step of W&B, since steps must grow."""
        return len(self.program.renumbered)

    @property
    def rows_back(self) -> int:
        """Rows that come back from the journal."""
        return 0 if self.missing is None else len(self.missing.number)

    @property
    def points_back(self) -> int:
        """Points that a person will see and does not see now."""
        return sum(max(0, change.after - change.before) for change in self.charts if change.axis is not None)

    @property
    def points_gone(self) -> int:
        """Points of the run's charts that are left out."""
        return sum(change.gone for change in self.charts)


def plan_repair(
    run: Run,
    *,
    keep: Keep = "last",
    axis: str | None = None,
    run_id: str | None = None,
    check: RunCheck | None = None,
) -> Plan:
    """Work out how to repair a run. Nothing is written.

    Args:
        run: The run, as :func:`ups.open_run` read it.
        keep: Where a chart goes back: ``last`` keeps, of attempts that overlap, the last from its lowest x to its
            highest, ``first`` the first, and ``all`` keeps every point and counts the axis on.
        axis: A metric that was logged, to draw against in place of an axis that cannot be used.
        run_id: The id of the copy. Default: a fresh one, which begins with the run's.
        check: The result of :func:`ups.check.check_run` for the run, where it is known already.

    Raises:
        UsageError: ``axis`` was never logged, or ``run_id`` is not a run id.
    """
    if axis is not None and run.column(axis) is None:
        raise UsageError(f"{axis!r} was never logged in {run.path}: name a metric of the run, or '_step'")
    if run_id is not None and not _RUN_ID.match(run_id):
        raise UsageError(f"{run_id!r} is not a run id: use letters, digits, '_' and '-', at most 128")
    before = check or check_run(run)
    definitions = _definitions(run, before, _codes(before), axis)
    view = _redefined(run, definitions) if definitions else run
    to_summary = _results(view, before)
    checked = check_run(view) if definitions else before
    codes = _codes(checked)
    mended = _mended(view, checked, codes, keep, to_summary)
    missing = missing_rows(run)
    kept_steps = keep_steps(view, checked, codes, mended, to_summary, missing, keep)
    mended |= kept_steps.mended
    definitions |= kept_steps.definitions
    changes = _changes(run, view, before, mended, definitions, to_summary, missing, kept_steps.what)
    definitions = {metric: axis for metric, axis in definitions.items() if metric not in to_summary} | {
        change.metric: change.axis for change in changes if change.axis not in (None, DEFAULT_AXIS)
    }
    if missing is not None:
        definitions |= {metric: axis for metric, axis in missing.axes.items() if axis != DEFAULT_AXIS}
    lost = run.lost_rows.count if missing is None else 0
    undefined = _undefined(run, definitions, to_summary)
    return Plan(
        run=run,
        run_id=run_id or _fresh_id(run.run_id or run.path.stem.removeprefix("run-")),
        charts=changes,
        unrepaired=_unrepaired(before, changes, undefined, lost),
        program=kept_steps.program,
        definitions=definitions,
        hidden=_hidden(run, definitions),
        undefined=undefined,
        missing=missing,
        lost=lost,
        torn=sum(segment.torn for segment in run.segments),
    )


def _codes(check: RunCheck) -> dict[str, set[str]]:
    """The codes of each chart's findings."""
    codes: dict[str, set[str]] = {}
    for finding in check.findings:
        if finding.metric is not None:
            codes.setdefault(finding.metric, set()).add(finding.code)
    return codes


def _definitions(run: Run, check: RunCheck, codes: dict[str, set[str]], wanted: str | None) -> dict[str, str]:
    """The step metric of each chart that needs another one, or one by its exact name."""
    definitions: dict[str, str] = {}
    for chart in check.charts:
        found = codes.get(chart.metric, set())
        if not chart.rows or chart.metric == wanted:
            continue
        if wanted is not None and found & (_BY_NAME | MEND):
            definitions[chart.metric] = wanted
        elif Verdict.NOT_NUMERIC in found:
            continue
        elif found & {Verdict.EMPTY, Verdict.FROZEN} and (counter := counter_beside(run, chart.metric)):
            definitions[chart.metric] = counter
        elif Verdict.AMBIGUOUS_AXIS in found and (best := best_axis(run, chart.metric)):
            definitions[chart.metric] = best
        elif Verdict.ORPHAN in found and (own := own_step(run, chart.metric)):
            definitions[chart.metric] = own
        elif Verdict.BACKWARDS in found and course(_points_x(run, chart.metric)) is Course.AGAIN:
            grown = grown_beside(run, chart.metric, chart.axis)
            if grown is not None:
                definitions[chart.metric] = grown
    return definitions


def _points_x(run: Run, metric: str) -> Values:
    """The x of a chart's points, in the order of logging."""
    series = run.series(metric)
    return series.x[points(series.x, series.y)]


def _results(run: Run, check: RunCheck) -> dict[str, NDArray[np.int64]]:
    """The rows of each result that was logged once, and of a step metric that belongs to nothing else."""
    rows = {
        finding.metric: column.rows
        for finding in check.findings
        if finding.code == Verdict.SINGLE_POINT and finding.repairable and finding.metric is not None
        if (column := run.column(finding.metric)) is not None
    }
    used = {run.axis(metric).metric for metric in run.charts if metric not in rows}
    for metric, row in list(rows.items()):
        axis = own_step(run, metric) or run.axis(metric).metric
        column = run.column(axis) if axis not in used and axis != DEFAULT_AXIS else None
        if column is not None and np.array_equal(column.rows, row):
            rows[axis] = column.rows
    return rows


def _redefined(run: Run, definitions: dict[str, str]) -> Run:
    """The run as it would be with more definitions."""
    more = copy.deepcopy(run.definitions)
    for metric, axis in definitions.items():
        more.define(metric, axis)
    return run.with_definitions(more)


def _hidden(run: Run, definitions: dict[str, str]) -> tuple[str, ...]:
    """The axes that the copy defines without a chart of their own."""
    new = set(definitions.values())
    old = {run.axis(metric).metric for metric in definitions}
    axes = (old | new) - {DEFAULT_AXIS} - set(definitions)
    return tuple(sorted(axis for axis in axes if axis in old - new or axis not in run.definitions.names()))


def _mended(
    view: Run, check: RunCheck, codes: dict[str, set[str]], keep: Keep, to_summary: Iterable[str]
) -> dict[str, Mended]:
    """Every axis with a chart that needs it mended, but W&B's own."""
    by_axis: dict[str, list[str]] = {}
    for chart in check.charts:
        if chart.rows and chart.axis != DEFAULT_AXIS and chart.metric not in to_summary:
            by_axis.setdefault(chart.axis, []).append(chart.metric)
    return {
        axis: mend(view, axis, metrics, codes, keep)
        for axis, metrics in by_axis.items()
        if any(codes.get(metric, set()) & MEND for metric in metrics)
    }


def _changes(
    run: Run,
    view: Run,
    check: RunCheck,
    mended: dict[str, Mended],
    definitions: dict[str, str],
    to_summary: dict[str, NDArray[np.int64]],
    missing: Missing | None,
    steps: dict[str, str],
) -> tuple[ChartChange, ...]:
    changes = []
    back = {} if missing is None else missing.points
    for chart in check.charts:
        metric = chart.metric
        axis = definitions.get(metric) or view.axis(metric).metric
        seen = distinct(_points_x(run, metric)) if chart.rows else 0  # a person sees one point per x
        if metric in to_summary:
            what = "its value is moved to the summary"
            changes.append(ChartChange(metric, chart.verdict, None, seen, 0, 0, (what,)))
            continue
        sentences = []
        after, gone = distinct(_points_x(view, metric)) if chart.rows else 0, 0
        if metric in steps:
            sentences.append(steps[metric])
        elif metric in definitions:
            sentences.append(f"it is defined by its exact name, with {axis} as its axis")
        if axis in mended and metric in mended[axis].points:
            after = mended[axis].points[metric]
            gone = mended[axis].gone[metric]
            if metric in mended[axis].touched:
                sentences += mended[axis].what
        elif axis == DEFAULT_AXIS and metric in steps:
            after = chart.points
        if back.get(metric):
            after += back[metric]
            sentences.append(f"{back[metric]:,} of its points come back from the journal")
        if sentences:
            changes.append(ChartChange(metric, chart.verdict, axis, seen, after, gone, tuple(sentences)))
    known = {chart.metric for chart in check.charts}
    for metric, count in back.items():
        if metric not in known and missing is not None:
            what = f"{count:,} of its points come back from the journal"
            axis = missing.axes[metric]
            changes.append(ChartChange(metric, Verdict.NEVER_LOGGED, axis, 0, count, 0, (what,)))
    return tuple(changes)


def _undefined(run: Run, definitions: dict[str, str], to_summary: dict[str, NDArray[np.int64]]) -> frozenset[str]:
    """The definitions that fit nothing: globs that missed what is now defined by name, and names that moved."""
    left = fitting(run.definitions.names(), (name for name in run.logged if name not in to_summary))
    moved = fitting(run.definitions.names(), to_summary)
    by_default = [metric for metric in definitions if not run.axis(metric).defined]
    missed = set(meant_for(by_default, run.definitions.names()).values())
    return frozenset((missed | moved) - definitions.keys() - left)


def _unrepaired(
    check: RunCheck, changes: Iterable[ChartChange], undefined: Iterable[str], lost: int
) -> tuple[Unrepaired, ...]:
    settled = {change.metric for change in changes if change.axis is None} | set(undefined)
    back = {change.metric for change in changes if change.after}
    came_back = fitting((chart.metric for chart in check.charts), back)
    out = []
    for finding in check.findings:
        metric = finding.metric
        if finding.code == "lost-rows" and lost:
            calls = f"{counted(lost, 'row')} {'was' if lost == 1 else 'were'}"
            out.append(Unrepaired(finding.code, None, f"{calls} never written, and cannot be brought back"))
        if metric is None or finding.code not in _NOT_REPAIRED or metric in settled:
            continue
        if finding.code in MEND and (finding.repairable or metric in back):
            continue
        if finding.code == Verdict.NEVER_LOGGED and metric in came_back:
            continue
        out.append(Unrepaired(finding.code, metric, f"{finding.message}: {_NOT_REPAIRED[Verdict(finding.code)]}"))
    return tuple(out)


def _fresh_id(run_id: str) -> str:
    """Make a new id for the copy: under the old one, a sync would add its rows to those on the server."""
    letters = string.ascii_lowercase + string.digits
    return f"{run_id[:110] or 'run'}-repaired-{''.join(secrets.choice(letters) for _ in range(4))}"
