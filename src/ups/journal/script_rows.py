"""Calls of a script's ``log`` and ``define_metric`` → the rows that W&B is given, by the guard's decisions.

A script that calls wandb itself has its calls journaled. Here they become rows as wandb-core would make them of the
calls that the guard makes of the script's. So the same calls give the same rows in each session, whether wandb-core
has seen the rows before or not. Of a run that a test records, no guard changes the calls.
"""

from collections.abc import Mapping
from typing import Any

from ups.charts import DEFAULT_AXIS, Definitions
from ups.guard.axes import Definition
from ups.guard.decisions import Actions, Decisions
from ups.journal.wandb_rows import ScriptRow, WandbRows

__all__ = ["ScriptRows"]

_CLOSED = Actions({}, None, True)


class ScriptRows:
    """Turns the calls of all processes of a script into rows, in the order in which they are read.

    Args:
        definitions: Gets the script's definitions and the guard's.
        guarded: False for the rows of plain wandb: it has one open row for all processes, and drops calls.

    Attributes:
        summary: The run's summary, by the rows and by the script's own writes.
        lost: The calls that W&B drops; none where they are guarded.
        notices: What the guard has changed, as lines.
    """

    def __init__(self, definitions: Definitions, *, guarded: bool = True) -> None:
        self._wandb = WandbRows(definitions)
        self.summary, self.lost = self._wandb.summary, self._wandb.lost
        self.notices: list[str] = []
        self._guarded = guarded
        self._decisions = Decisions()
        self._logging: set[str] = set()  # processes that have logged, and whose end has not come

    def begin(self, *, owner: bool) -> None:
        """Note that a process begins; where an ``owner`` does, the trainings before it are over."""
        if owner:
            self._logging.clear()

    def define(self, given: Mapping[str, Any]) -> list[Definition]:
        """Take a call of ``define_metric``. Returns the definitions that the guard makes of it, beside it."""
        options = {name: value for name, value in given.items() if name != "name" and value is not None}
        self._wandb.define(given["name"], options)
        return self._performed(self._decisions.define_metric(given["name"], **options)) if self._guarded else []

    def log(
        self, values: dict[str, Any], step: int | None, commit: bool | None, time: float, process: str
    ) -> tuple[list[Definition], list[ScriptRow]]:
        """Take a call of ``log``. Returns the definitions that come before it, and the rows that it settles."""
        decisions = self._decisions
        self._logging.add(process)
        own = values.pop("_timestamp", time)
        values.pop(DEFAULT_AXIS, None)  # wandb does so
        logged_at = own if type(own) in (int, float) else time
        if not self._guarded:
            return [], self._wandb.log(values, step, commit, logged_at)
        before = []
        if len(self._logging) > 1 and not decisions.beside_others:
            decisions.other_processes()
            before = self._wandb.settle_all()  # by numbers that end here
            self._wandb.counted = False
        data = _sealed(values)
        actions = decisions.log(data, step, commit)
        definitions = self._performed(actions)
        row = values if actions.row is data else _opened(actions.row)
        rows = self._wandb.log(row, actions.step, actions.commit, logged_at, process)
        decisions.logged(actions, data, step, commit)
        return definitions, [*before, *rows]

    def settle(self, process: str) -> list[ScriptRow]:
        """Settle the row that a process left open when it ended."""
        self._logging.discard(process)
        if not self._guarded:
            return self._wandb.settle()
        before = self._wandb.current
        rows = self._wandb.settle(process)
        if self._wandb.current != before:
            self._decisions.logged(_CLOSED, {}, None, True)
        return rows

    def is_open(self, process: str) -> bool:
        """True where a row of the process is still to be settled."""
        return self._wandb.is_open(process if self._guarded else "")

    def _performed(self, actions: Actions) -> list[Definition]:
        self.notices += actions.notices
        for name, options in actions.definitions:
            self._wandb.define(name, options)
        return list(actions.definitions)


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
