"""A model of W&B's run whose calls go through a guard's decisions first, and what holds for each such run."""

from __future__ import annotations

import math
from typing import Any

from guard.made_loops import Call
from guard.model import Model
from ups.guard.decisions import Actions, Decisions

__all__ = ["Guarded", "assert_no_number_is_lost"]


class Guarded:
    """The run that W&B holds of a script with a guard.

    Attributes:
        model: the run.
        decisions: the guard.
        actions: the actions on each call, in order.
    """

    def __init__(self, begun: int = 0) -> None:
        self.model = Model(current=begun)
        self.decisions = Decisions(begun)
        self.actions: list[Actions] = []

    def define_metric(self, name: str, **options: Any) -> None:
        """One definition of the script, and those that the guard makes of it."""
        self.model.define_metric(name, **options)
        self._make(self.decisions.define_metric(name, **options))

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """One call of the script."""
        actions = self.decisions.log(data, step, commit)
        self._make(actions)
        self.model.log(dict(actions.row), actions.step, actions.commit)
        self.decisions.logged(actions, data, step, commit)

    def _make(self, actions: Actions) -> None:
        self.actions.append(actions)
        for name, options in actions.definitions:
            self.model.define_metric(name, **options)


def assert_no_number_is_lost(calls: list[Call], run: Guarded) -> None:
    """Each number is in a row that W&B takes, but for one that the script itself gives again in the same row."""
    held = {value for row in run.model.rows for value in row.values()}
    assert run.model.dropped == []
    logged = [call.arguments for call in calls if call.name is None]
    for place, arguments in enumerate(logged):
        for name, value in arguments["data"].items():
            if value in held or not math.isfinite(value):
                continue
            later = next(each for each in logged[place + 1 :] if name in each["data"])
            assert later.get("step") in (None, arguments.get("step")) or arguments.get("step") is None
            assert "logged twice" in run.decisions.summary()
