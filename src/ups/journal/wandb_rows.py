"""Calls of ``log`` and ``define_metric`` → the rows that wandb-core makes of them.

wandb-core keeps one row open. ``step=`` above its number closes it, ``step=`` below is lost with the whole call, and
``commit`` closes it too. An axis that a row lacks is filled in with its last value, or with 0. ``tests/guard`` holds
this against the real client.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ups.charts import DEFAULT_AXIS, Definitions, matches, unescaped
from ups.journal.row_rule import Row
from ups.journal.script_summary import ScriptSummary, leaves
from ups.nested import merge

__all__ = ["ScriptRow", "WandbRows"]


@dataclass(frozen=True, slots=True)
class ScriptRow(Row):
    """A row of a script: values of any kind, in nested dictionaries.

    Attributes:
        number: The number that it has in W&B if that is free; 0 where any will do.
    """

    number: int = 0


@dataclass(slots=True)
class _Open:
    """The row to which values may still come."""

    number: int
    time: float
    values: dict[str, Any]


class _Lost(NamedTuple):
    """A call that wandb-core drops: its ``step=``, and the number of the row that was open, or came next."""

    step: int
    current: int


class WandbRows:
    """The rows of a run, as wandb-core makes them.

    Attributes:
        current: The number of the open row, or of the next.
        summary: The run's summary, by the rows and by the script's own writes.
        lost: The calls that wandb-core drops.
        counted: False from when several processes take turns: each has an open row of its own, and no row has a number.

    Args:
        definitions: Gets the definitions.
        current: The number of the first row.
    """

    def __init__(self, definitions: Definitions, current: int = 0) -> None:
        self.current = current
        self.summary = ScriptSummary()
        self.lost: list[_Lost] = []
        self.counted = True
        self._definitions = definitions
        self._open: dict[str, _Open] = {}  # by process
        self._synced: dict[str, bool] = {}  # by name or glob: whether wandb fills its axis in
        self._last: dict[str, Any] = {}  # the last value of each axis
        self._fills: dict[str, str | None] = {}  # by metric: the axis that is filled in for it

    def define(self, name: str, options: Mapping[str, Any]) -> None:
        """Take a call of ``define_metric``."""
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

    def log(
        self, row: Mapping[str, Any], step: int | None, commit: bool | None, time: float, process: str = ""
    ) -> list[ScriptRow]:
        """Take a call of ``log``. Returns the rows that it closes; a lost call closes none."""
        rows = []
        waiting = self._open.get(process)
        if step is not None and step < self.current:
            self.lost.append(_Lost(step, self.current))
            return []
        if step is not None and step > self.current:
            if waiting is not None:
                rows.append(self._closed(self._open.pop(process)))
                waiting = None
            self.current = step
        if waiting is None:
            waiting = self._open[process] = _Open(self.current if self.counted else 0, time, {})
        merge(waiting.values, row)
        waiting.time = time
        if commit or (commit is None and step is None):
            self.current += self.counted
            rows.append(self._closed(self._open.pop(process)))
        return rows

    def settle(self, process: str = "") -> list[ScriptRow]:
        """Close the row that a process left open when it ended."""
        waiting = self._open.pop(process, None)
        if waiting is None:
            return []
        if self.counted and waiting.number == self.current:
            self.current += 1
        return [self._closed(waiting)]

    def settle_all(self) -> list[ScriptRow]:
        """Close every open row, by the numbers that they have."""
        rows = [self._closed(waiting) for waiting in self._open.values()]
        self._open.clear()
        return rows

    def is_open(self, process: str = "") -> bool:
        """True where a row of the process is still to be closed."""
        return process in self._open

    def _closed(self, waiting: _Open) -> ScriptRow:
        values = waiting.values
        for name in [".".join(path) for path, _ in leaves(values)]:
            axis = self._fills[name] if name in self._fills else self._axis_to_fill(name)
            if axis is not None and _at(values, axis) is None:
                merge(values, _nested(axis, self._last.get(axis, 0)))
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
