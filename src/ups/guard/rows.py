"""A row as the script logs it → the row that W&B is given: the same, unless a chart would lose by it."""

from collections.abc import Collection, Mapping
from math import inf
from typing import Any, NamedTuple

from ups.charts import DEFAULT_AXIS
from ups.errors import InvalidValue
from ups.guard.axes import Axes
from ups.guard.axis import MOST_PARTS, GuardedAxis
from ups.guard.said import Said
from ups.tracking.values import number, shown

__all__ = ["ALONE", "Place", "Rows", "flat"]

Row = dict[str, Any]
_PLAIN = frozenset({int, float})
_CLOCKS = ("_timestamp", "_runtime")  # W&B puts them into each row


class Place(NamedTuple):
    """Where a row belongs.

    Attributes:
        step: the script's ``step=`` for it; None if there is none.
        late: whether W&B's number for that step cannot be had any more.
        beside: the names that are in the same row already.
        open: whether another call may add to the row.
        moved: names that are in W&B's row of this number already, for another step: with one of them, it is late.
    """

    step: int | None
    late: bool
    beside: Collection[str]
    open: bool
    moved: Collection[str] = ()


ALONE = Place(None, False, (), False)
"""The place of a row that is one call, without ``step=``."""


class _Group(NamedTuple):
    """The metrics of a row that are drawn against one axis; ``held`` if the row has it, as a number."""

    axis: GuardedAxis
    metrics: tuple[str, ...]
    held: bool


class _Plan(NamedTuple):
    """What rows of the same names have in common; ``free`` are the metrics that are drawn against ``_step``."""

    groups: tuple[_Group, ...]
    free: tuple[str, ...]


class Rows:
    """What becomes of a run's rows.

    Args:
        axes: the run's axes and definitions.
        said: where changes are noted.
        from_start: whether the guard has seen every row of the run.
    """

    def __init__(self, axes: Axes, said: Said, *, from_start: bool) -> None:
        self._axes = axes
        self._said = said
        self._from_start = from_start
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._waiting: dict[str, GuardedAxis] = {}  # metrics of an open row whose axis may yet come, in another call

    def forget_plans(self) -> None:
        """Call it when a definition has changed."""
        self._plans.clear()

    def row(self, data: Row, place: Place) -> Row:
        """The row for W&B: ``data`` itself where nothing is to be changed.

        Args:
            data: as the script gives it.
            place: where it belongs.
        """
        added: dict[str, Any] = {}
        parts: dict[str, str] = {}
        if self._waiting and not place.beside:
            self._give_up_waiting(place, added)
        numbers = self._numbers_in(data)
        names = tuple(numbers)
        plan = self._plans.get(names) or self._new_plan(names, data)
        for group in plan.groups:
            self._follow(group, numbers, place, added, parts)
        if self._waiting and not place.open:
            self._give_up_waiting(place, added)
        if plan.free:
            late = place.late or not added.keys().isdisjoint(place.moved)
            self._follow_free(plan.free, place.step, late, added, parts)
        if not added and not parts:
            return data
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

    def _numbers_in(self, data: Row) -> Row:
        """The values of a row that are numbers, by the names that W&B gives them; ``data`` itself if all are."""
        values = data.values()
        if not _PLAIN.issuperset(map(type, values)):
            return self._sorted_out(data)
        try:
            total = sum(values)
        except OverflowError:  # a whole number that is larger than any float
            return self._sorted_out(data)
        if total - total != 0:  # one of them is NaN or infinite, or they are very large
            return self._sorted_out(data)
        return data

    def _new_plan(self, names: tuple[str, ...], data: Row) -> _Plan:
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
        self._plans[names] = plan = _Plan(groups, free)
        return plan

    def _follow(self, group: _Group, numbers: Row, place: Place, added: dict[str, Any], parts: dict[str, str]) -> None:
        """Take the metrics of one axis a step further."""
        axis, metrics, held = group
        supplied = False
        x: float | None
        if held:
            x = numbers[axis.name]
            if type(x) is not int and type(x) is not float:
                x = number(x)
            axis.known, axis.logged, axis.agrees = x, True, x == place.step
            if self._waiting:
                self._stop_waiting(axis, x)
        else:
            x, supplied = self._missing(axis, metrics, place)
            metrics = tuple(metric for metric in metrics if self._axes.of(metric, ()) is axis)
            if x is None or not metrics:
                return
        if axis.goes_back(metrics, x):
            self._restart(axis, x)
        at = axis.advance(metrics, x)
        if axis.part > 1:
            self._axes.define_part(axis, metrics)
            parts |= {metric: axis.prefixed(metric) for metric in metrics}
            if held:
                parts[axis.name] = axis.key
        if supplied or axis.part > 1 or axis.offset:
            added[axis.key] = at

    def _missing(self, axis: GuardedAxis, metrics: Collection[str], place: Place) -> tuple[float | None, bool]:
        """The x of metrics whose row lacks their axis, and whether it is to be put into the row.

        None where the row is right to make no point.
        """
        if axis.key in place.beside:
            return axis.known, False
        if not axis.logged:
            if place.step is None and place.open:
                self._waiting |= dict.fromkeys(metrics, axis)
                return None, False
            axis.known = axis.count(metrics) if place.step is None else place.step
            self._supplied(axis, metrics, axis.known)
            return axis.known, True
        if not axis.synced:
            return None, False
        still = axis.stands_still(metrics, axis.known)
        if still and place.step is not None and axis.agrees:
            if place.step != axis.known:
                axis.known = place.step
                self._supplied(axis, metrics, axis.known)
                return axis.known, True
        elif still:
            self._waiting |= dict.fromkeys(still, axis)
        return axis.known, False

    def _stop_waiting(self, axis: GuardedAxis, x: float) -> None:
        """The axis has come, for the metrics that were in its row before it."""
        metrics = [metric for metric, awaited in self._waiting.items() if awaited is axis]
        axis.advance(metrics, x)
        for metric in metrics:
            del self._waiting[metric]

    def _give_up_waiting(self, place: Place, added: dict[str, Any]) -> None:
        """The row is closed, or closes with this call, and axes have not come that metrics in it are drawn against."""
        for metric, axis in self._waiting.items():
            if axis.logged:
                self._said.add(
                    "stale",
                    f"{metric} is logged more often than its axis {axis.name}: it is now drawn against {DEFAULT_AXIS}",
                )
                self._axes.define(metric, DEFAULT_AXIS)
                self.forget_plans()
            elif place.beside:
                if axis.key not in added:
                    axis.known = added[axis.key] = axis.count((metric,))
                    self._supplied(axis, (metric,), added[axis.key])
                axis.advance((metric,), added[axis.key])
        self._waiting.clear()

    def _follow_free(
        self, metrics: tuple[str, ...], step: int | None, late: bool, added: dict[str, Any], parts: dict[str, str]
    ) -> None:
        """Take the metrics that are drawn against W&B's own numbers a step further."""
        axis = self._axes.get(DEFAULT_AXIS)
        if step is None or (axis.part == 1 and not late):
            if axis.part == 1:
                axis.advance(metrics, axis.high if step is None else step)
            return
        if axis.goes_back(metrics, step):
            self._restart(axis, step)
        elif axis.part == 1:  # only the number is taken, so other lines go on as they are
            for metric in metrics:
                self._leave(axis, metric, step, added, parts)
            self.forget_plans()
            return
        at = axis.advance(metrics, step)
        self._axes.define_part(axis, metrics)
        parts |= {metric: axis.prefixed(metric) for metric in metrics}
        added[axis.key] = at

    def _leave(self, axis: GuardedAxis, metric: str, step: int, added: dict[str, Any], parts: dict[str, str]) -> None:
        """A metric gets an axis of its own, where W&B's number for its step is taken; in a part, if it has a line."""
        begun = metric in axis.last or not self._from_start
        own = self._axes.give_own(metric, begun=begun)
        if own.part > 1:
            parts[metric] = own.prefixed(metric)
            self._axes.define_part(own, (metric,))
        if begun:
            self._said.add(
                "taken",
                f"W&B's number {step} is taken: {metric} goes on as {own.prefixed(metric)}, against {own.key}",
                always=True,
            )
        own.known = step
        added[own.key] = own.advance((metric,), step)

    def _restart(self, axis: GuardedAxis, x: float) -> None:
        back = f"{axis.name} goes back{f' from {axis.high:g}' if axis.high > -inf else ''} to {x:g}"
        if axis.restart(x):
            self._said.add(
                "part", f"{back}: what comes now is in {axis.key}, its metrics in part{axis.part}/…", always=True
            )
        else:
            self._said.add("counted-on", f"{back}, for the {MOST_PARTS}th time: from here on it is counted on")

    def _supplied(self, axis: GuardedAxis, metrics: Collection[str], x: float) -> None:
        name = next(iter(metrics))
        self._said.add("supplied", f"{name} comes without its axis {axis.name}: it is put into the row, here {x:g}")

    def _sorted_out(self, data: Row) -> Row:
        numbers = {}
        for name, value in flat(data).items():
            try:
                numbers[name] = number(value)
            except InvalidValue:
                if value is None or isinstance(value, str) or _is_plain_list(value):
                    self._said.add(
                        "not-a-number",
                        f"{name} is {shown(value)}: W&B keeps it, and no line can show what is no number",
                    )
                continue
            if numbers[name] - numbers[name] != 0:
                self._not_finite(name, value)
        return numbers

    def _not_finite(self, name: str, value: object) -> None:
        self._said.add("not-finite", f"{name} is {shown(value)}: W&B leaves out such points")


def _is_plain_list(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], (int, float, str))


def flat(data: Row) -> Row:
    """A row with nested dictionaries as W&B names them, keys joined by dots; ``data`` itself if there are none."""
    if not any(isinstance(value, Mapping) for value in data.values()):
        return data
    names: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            names |= {f"{name}.{inner}": each for inner, each in flat(dict(value)).items()}
        else:
            names[name] = value
    return names


def _put(row: Row, name: str, value: Any) -> None:
    """Put a value into a row, nested at each dot of its name: there alone W&B finds an axis that it then leaves be."""
    first, dot, rest = name.partition(".")
    inner = row.setdefault(first, {}) if dot else None
    if isinstance(inner, dict):
        _put(inner, rest, value)
    else:
        row[name] = value
