"""Calls of a script's ``log`` and ``define_metric`` → the rows that W&B is given, by the guard's decisions.

A script that calls wandb itself has its calls journaled. Here they become rows as wandb-core would make them of the
calls that the guard makes of the script's: ``step=`` above the open row's number settles that row, ``commit`` settles
it too, and an axis that a row lacks is filled in with its last value. So the same calls give the same rows in each
session, whether wandb-core has seen the rows before or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ups.charts import DEFAULT_AXIS, Definitions, matches, unescaped
from ups.guard.axes import Definition
from ups.guard.decisions import Actions, Decisions
from ups.journal.row_rule import Row
from ups.journal.script_summary import ScriptSummary, leaves

__all__ = ["ScriptRow", "ScriptRows"]

_CLOSED = Actions({}, None, True)


@dataclass(frozen=True, slots=True)
class ScriptRow(Row):
    """A row of a script: values of any kind, in nested dictionaries.

    Attributes:
        number: The number that it has in W&B if that is free; 0 where any will do.
    """

    number: int = 0


@dataclass(slots=True)
class _Open:
    """The row of a process to which values may still come."""

    number: int
    time: float
    values: dict[str, Any]


class ScriptRows:
    """Turns the calls of all processes of a script into rows, in the order in which they are read.

    Args:
        definitions: Gets the script's definitions and the guard's.

    Attributes:
        summary: The run's summary, by the rows and by the script's own writes.
        notices: What the guard has changed, as lines.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.summary = ScriptSummary()
        self.notices: list[str] = []
        self._definitions = definitions
        self._decisions = Decisions()
        self._current = 0  # the number of the open row, or of the next
        self._open: dict[str, _Open] = {}  # by process
        self._logging: set[str] = set()  # processes that have logged, and whose end has not come
        self._synced: dict[str, bool] = {}  # by name or glob: whether wandb fills its axis in
        self._last: dict[str, Any] = {}  # the last value of each axis
        self._fills: dict[str, str | None] = {}  # by metric: the axis that is filled in for it

    def begin(self, *, owner: bool) -> None:
        """Note that a process begins; where an ``owner`` does, the trainings before it are over."""
        if owner:
            self._logging.clear()

    def define(self, given: Mapping[str, Any]) -> list[Definition]:
        """Take a call of ``define_metric``. Returns the definitions that the guard makes of it, beside it."""
        options = {name: value for name, value in given.items() if name != "name" and value is not None}
        self._note(Definition(given["name"], options))
        actions = self._decisions.define_metric(given["name"], **options)
        return self._performed(actions)

    def log(
        self, values: dict[str, Any], step: int | None, commit: bool | None, time: float, process: str
    ) -> tuple[list[Definition], list[ScriptRow]]:
        """Take a call of ``log``. Returns the definitions that come before it, and the rows that it settles."""
        decisions = self._decisions
        self._logging.add(process)
        before = []
        if len(self._logging) > 1 and not decisions.beside_others:
            decisions.other_processes()
            before = [self._settled(waiting) for waiting in self._open.values()]  # by numbers that end here
            self._open.clear()
        own = values.pop("_timestamp", time)
        values.pop(DEFAULT_AXIS, None)  # wandb does so
        data = _sealed(values)
        actions = decisions.log(data, step, commit)
        definitions = self._performed(actions)
        row = values if actions.row is data else _opened(actions.row)
        rows = self._add(row, actions.step, actions.commit, own if type(own) in (int, float) else time, process)
        decisions.logged(actions, data, step, commit)
        return definitions, [*before, *rows]

    def settle(self, process: str) -> list[ScriptRow]:
        """Settle the row that a process left open when it ended."""
        self._logging.discard(process)
        waiting = self._open.pop(process, None)
        if waiting is None:
            return []
        if waiting.number == self._current and not self._decisions.beside_others:
            self._current += 1
            self._decisions.logged(_CLOSED, {}, None, True)
        return [self._settled(waiting)]

    def is_open(self, process: str) -> bool:
        """True where a row of the process is still to be settled."""
        return process in self._open

    def _add(
        self, row: dict[str, Any], step: int | None, commit: bool | None, time: float, process: str
    ) -> list[ScriptRow]:
        """Add a call to the open row of a process, as wandb-core does. Returns the rows that are settled."""
        several = self._decisions.beside_others
        rows = []
        waiting = self._open.get(process)
        if step is not None and step > self._current:
            if waiting is not None:
                rows.append(self._settled(self._open.pop(process)))
                waiting = None
            self._current = step
        if waiting is None:
            waiting = self._open[process] = _Open(0 if several else self._current, time, {})
        _merge(waiting.values, row)
        waiting.time = time
        if commit or (commit is None and step is None):
            self._current += not several
            rows.append(self._settled(self._open.pop(process)))
        return rows

    def _settled(self, waiting: _Open) -> ScriptRow:
        values = waiting.values
        for name in [".".join(path) for path, _ in leaves(values)]:
            axis = self._fills[name] if name in self._fills else self._axis_to_fill(name)
            if axis is not None and _at(values, axis) is None:
                _merge(values, _nested(axis, self._last.get(axis, 0)))
        for axis in self._last:
            x = _at(values, axis)
            if type(x) is int or type(x) is float:
                self._last[axis] = x
        self.summary.take_row(leaves(values))
        return ScriptRow(values, None, waiting.time, waiting.number)

    def _axis_to_fill(self, name: str) -> str | None:
        """The axis that wandb fills in for a metric; None where it fills none in."""
        found = name if name in self._synced else next((glob for glob in self._synced if matches(glob, name)), None)
        unsynced = [glob for glob, synced in self._synced.items() if not synced and matches(glob, name)]
        axis = self._definitions.axis(name).metric
        fills = found is not None and axis != DEFAULT_AXIS and axis != name
        if fills and (not self._synced[name] if name in self._synced else unsynced):
            fills = False
        self._fills[name] = axis if fills else None
        return self._fills[name]

    def _performed(self, actions: Actions) -> list[Definition]:
        self.notices += actions.notices
        for definition in actions.definitions:
            self._note(definition)
        return list(actions.definitions)

    def _note(self, definition: Definition) -> None:
        """Take a definition that W&B gets."""
        name, options = definition
        overwrite = bool(options.get("overwrite"))
        axis = options.get("step_metric")
        self._definitions.define(name, axis, hidden=bool(options.get("hidden")), overwrite=overwrite)
        name = unescaped(name)
        self._synced[name] = options.get("step_sync") is not False and (
            axis is not None or (not overwrite and self._synced.get(name, False))
        )
        if axis is not None:
            self._last.setdefault(unescaped(axis), 0)
        self._fills.clear()
        self.summary.define(name, options.get("summary"), options.get("goal"), overwrite=overwrite)


class _Sealed:
    """A media object, as its JSON: one value, of which the guard makes no names."""

    __slots__ = ("content",)

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content


def _sealed(values: dict[str, Any]) -> dict[str, Any]:
    """Values with their media objects sealed; ``values`` itself where there are none."""
    if dict not in set(map(type, values.values())):
        return values
    return {
        name: value if not isinstance(value, dict) else _Sealed(value) if "_type" in value else _sealed(value)
        for name, value in values.items()
    }


def _opened(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.content if isinstance(value, _Sealed) else _opened(value) if isinstance(value, dict) else value
        for name, value in values.items()
    }


def _merge(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put values into nested dictionaries, path by path, as wandb-core does."""
    for name, value in more.items():
        inner = values.get(name)
        if isinstance(value, dict) and isinstance(inner, dict):
            _merge(inner, value)
        else:
            values[name] = value


def _at(values: Mapping[str, Any], name: str) -> Any:
    """The value that wandb-core finds for a name: at its dots, in nested dictionaries."""
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return found


def _nested(name: str, value: Any) -> dict[str, Any]:
    first, dot, rest = name.partition(".")
    return {first: _nested(rest, value) if dot else value}
