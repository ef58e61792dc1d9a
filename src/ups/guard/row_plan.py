"""A row as the script logs it → the row that W&B is given: the same, unless a chart would lose by it."""

from collections.abc import Set
from typing import Any, NamedTuple

from ups.charts import DEFAULT_AXIS
from ups.guard.axes import Axes
from ups.guard.drawable import Values, flat
from ups.guard.missing import MissingAxes
from ups.guard.notices import Notices
from ups.guard.place import Place
from ups.guard.strands import MOST_PARTS, GuardedAxis, Strand, prefixed
from ups.text import number_text

__all__ = ["Rows"]

Row = dict[str, Any]
_Names = tuple[str, ...]
_CLOCKS = ("_timestamp", "_runtime")  # W&B puts them into each row
_MOST_PLANNED = 100_000  # names in all plans


class _Group(NamedTuple):
    """The metrics of a row that are drawn against one axis; ``held`` if the row has it, as a number."""

    axis: GuardedAxis
    metrics: _Names
    held: bool


class _Plan(NamedTuple):
    """The groups that rows of the same names share; ``free`` are the metrics that are drawn against ``_step``."""

    groups: tuple[_Group, ...]
    free: _Names


class _Changes(NamedTuple):
    """The changes of a row: the axes that are added to it, and the new name of each metric that is in a part."""

    added: Row
    parts: dict[str, str]


class Rows:
    """The rows of a run: which of their metrics need another name or an axis.

    ``from_start`` is true where the guard has seen every row.

    Attributes:
        filled: The axes that wandb fills in for the row that was judged last.
    """

    def __init__(self, axes: Axes, notices: Notices, *, from_start: bool) -> None:
        self._axes = axes
        self._notices = notices
        self._from_start = from_start
        self._values = Values(notices)
        self._plans: dict[_Names, _Plan] = {}
        self._planned = 0
        self._changes = _Changes({}, {})  # of the row that is judged
        self._missing = MissingAxes(axes, notices)
        self.filled: Set[str] = self._missing.filled

    def forget_plans(self) -> None:
        """Forget all plans, since a definition has changed."""
        self._plans.clear()
        self._planned = 0

    def row(self, data: Row, place: Place) -> Row:
        """Return the row for W&B: the script's own where nothing is to be changed."""
        changes, missing = self._changes, self._missing
        added, parts = changes
        if added or parts:
            added.clear()
            parts.clear()
        if missing.implied or missing.filled:
            missing.implied.clear()
            missing.filled.clear()
        if missing.waits and not place.beside:
            self._give_up_waiting(place, added)
        numbers = self._values.numbers(data)
        names = tuple(numbers)
        plan = self._plans.get(names) or self._new_plan(names, data)
        for group in plan.groups:
            self._follow(group, numbers, place, changes, all_finite=numbers is data)
        if missing.waits and not place.open:
            self._give_up_waiting(place, added)
        late = place.late or (bool(place.moved) and not added.keys().isdisjoint(place.moved))
        if late and missing.implied:
            added |= missing.implied  # the row may get a number of its own
            missing.filled.clear()
        if plan.free:
            self._follow_free(plan.free, numbers, place.step, late, changes)
        return _rebuilt(data, changes) if added or parts else data

    def _new_plan(self, names: _Names, data: Row) -> _Plan:
        metrics: dict[str, list[str]] = {}
        found = {name: self._axes.of(name, names) for name in names if name not in self._axes.names()}
        known = self._axes.names()
        for name, axis in found.items():
            if name not in known:  # it may have become an axis just now
                metrics.setdefault(axis.name, []).append(name)
        free = tuple(metrics.pop(DEFAULT_AXIS, ()))
        for name in names:
            if name in known:
                metrics.setdefault(name, [])
        present = flat(data)
        groups = tuple(
            _Group(self._axes.get(axis), tuple(drawn), axis in names)
            for axis, drawn in metrics.items()
            if axis in names or (axis not in present and axis not in _CLOCKS)
        )
        if self._planned > _MOST_PLANNED:
            self.forget_plans()
        self._planned += len(names)
        self._plans[names] = plan = _Plan(groups, free)
        return plan

    def _follow(self, group: _Group, numbers: Row, place: Place, changes: _Changes, *, all_finite: bool) -> None:
        """Follow the metrics of one axis through a row."""
        axis, metrics, held = group
        supplied = False
        x: float | None
        if held:
            x = numbers[axis.name]
            axis.know(x, late=place.late)
            axis.logged, axis.agrees = True, x == place.step
            if self._missing.waits:
                self._missing.come(axis, x)
        else:
            x, supplied = self._missing.x(axis, metrics, place, numbers)
            metrics = tuple(metric for metric in metrics if self._axes.of(metric, ()) is axis)
            if x is None:
                return
        if not metrics:
            return
        if place.late:
            self._axes.confirm(metrics)
        if not all_finite:
            self._name_gaps(axis, metrics, numbers, x, supplied, changes)
            metrics = tuple(metric for metric in metrics if _is_finite(numbers[metric]))
        for strand in axis.strands(metrics):
            line = strand.line
            if not (x > line.last and x > strand.stood):
                self._move(axis, strand, x)
            if _is_finite(x):
                line.follow(x)
            if strand.part > 1:
                self._put_in_part(axis, strand, metrics, x, changes)
                continue
            if x > axis.high:
                axis.high = x
            if supplied:
                changes.added[axis.name] = x

    def _name_gaps(
        self, axis: GuardedAxis, metrics: _Names, numbers: Row, x: float, supplied: bool, changes: _Changes
    ) -> None:
        """Name NaN and infinities, which make no point, after the part that their line is in."""
        gaps = tuple(metric for metric in metrics if not _is_finite(numbers[metric]))
        for strand in axis.strands(gaps):
            if strand.part > 1:
                self._put_in_part(axis, strand, gaps, x, changes)
            elif supplied:
                changes.added[axis.name] = x

    def _follow_free(self, metrics: _Names, numbers: Row, step: int | None, late: bool, changes: _Changes) -> None:
        """Follow the metrics that are drawn against W&B's own numbers through a row."""
        axis = self._axes.get(DEFAULT_AXIS)
        strands = axis.strands(metrics)
        if not late:
            for strand in strands:
                strand.begun = True
                if step is None:
                    continue
                if strand.part > 1:
                    self._move(axis, strand, step)
                strand.line.follow(step)
                if strand.part > 1:
                    self._put_in_part(axis, strand, metrics, step, changes)
            return
        assert step is not None
        logged = self._logged_steps(metrics, strands, numbers, step)
        for strand in strands:
            self._move(axis, strand, step)
            if strand.part > 1:
                strand.line.follow(step)
                self._put_in_part(axis, strand, metrics, step, changes)
            elif not strand.parts_end:
                for metric in metrics:
                    if metric in strand.metrics and metric not in logged.values():
                        self._leave(metric, strand, logged.get(metric), step, changes)
                self.forget_plans()

    def _logged_steps(self, metrics: _Names, strands: tuple[Strand, ...], numbers: Row, step: int) -> dict[str, str]:
        """The steps that the script logs itself, each the same as ``step=``, of metrics that have no line yet."""
        if not self._from_start:
            return {}
        new = {metric for strand in strands if not strand.begun for metric in strand.metrics}
        own = {metric: f"{metric.rpartition('/')[0]}/step" for metric in metrics if metric in new and "/" in metric}
        steps = {name for name in own.values() if name in new and numbers[name] == step}
        return {metric: name for metric, name in own.items() if name in steps and metric not in steps}

    def _leave(self, metric: str, before: Strand, logged: str | None, step: int, changes: _Changes) -> None:
        """Give a metric an axis of its own, where W&B's number for its step is taken; in a part, if it has a line."""
        begun = before.begun or not self._from_start
        if logged is not None:
            own = self._axes.take_logged(metric, logged)
            own.logged = own.agrees = True
        else:
            own = self._axes.give_own(metric, begun=begun)
        part = own.first_part
        if part > 1:
            changes.parts[metric] = prefixed(metric, part)
            self._axes.define_part(own, part, (metric,))
        if begun and logged is None:
            self._notices.add(
                "taken",
                lambda: (
                    f"W&B's number {number_text(step)} is taken: {metric} continues as {changes.parts[metric]}, "
                    f"against {own.key(part)}"
                ),
                always=True,
            )
        own.known = step
        own.high = max(own.high, step)
        for strand in own.strands((metric,)):
            if begun:
                strand.line = before.line_again()
            strand.line.follow(step)
        if logged is None:
            changes.added[own.key(part)] = step

    def _give_up_waiting(self, place: Place, added: Row) -> None:
        if self._missing.give_up(place, added):
            self.forget_plans()

    def _move(self, axis: GuardedAxis, strand: Strand, x: float) -> None:
        last = max(strand.line.last, strand.stood)
        moved = strand.move(axis, x)
        if moved is None:
            return
        back = f"{axis.name} goes back from {number_text(last)} to {number_text(x)}"
        if moved == "part":
            key, part = axis.key(strand.part), strand.part
            self._notices.add(
                "part", lambda: f"{back}: from here on it is {key}, and its metrics are part{part}/…", always=True
            )
        else:
            name = min(strand.metrics)
            self._notices.add(
                "parts-end", lambda: f"{back}, for the {MOST_PARTS}th time: from here on, {name} stays as it is"
            )

    def _put_in_part(self, axis: GuardedAxis, strand: Strand, metrics: _Names, x: float, changes: _Changes) -> None:
        part = strand.part
        mine = [metric for metric in metrics if metric in strand.metrics]
        self._axes.define_part(axis, part, mine)
        for metric in mine:
            changes.parts[metric] = prefixed(metric, part)
        changes.added[axis.key(part)] = x


def _is_finite(value: float) -> bool:
    return value - value == 0


def _rebuilt(data: Row, changes: _Changes) -> Row:
    """The row with names of parts, and with axes that it lacks."""
    added, parts = changes
    row: Row = {}
    for name, value in flat(data).items():
        new = parts.get(name, name)
        if new in added:
            continue
        if name in data:
            row[new] = value
        else:
            _put(row, new, value)
    for name, value in added.items():
        _put(row, name, value)
    return row


def _put(row: Row, name: str, value: Any) -> None:
    """Put a value into a row, nested at each dot of its name: there alone W&B finds an axis that it then leaves be."""
    first, dot, rest = name.partition(".")
    inner = row.setdefault(first, {}) if dot else None
    if isinstance(inner, dict):
        _put(inner, rest, value)
    else:
        row[name] = value
