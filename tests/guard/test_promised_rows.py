"""Calls without any habit: W&B takes the rows that the guard promises, and the same calls give the same actions.

The rows are those of the model in ``model.py``, which the real client is held against.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.guarded import Guarded, assert_no_number_is_lost
from guard.made_loops import Call, play
from guard.raw_calls import DEFINITIONS, KINDS, raw_calls


def drawn_calls(drawn: bytes) -> list[Call]:
    """The calls of a script: the first byte says its definitions, each two after it a call.

    Drawing the bytes at once takes a third of the time of drawing each number.
    """
    kinds = [int.from_bytes(drawn[at : at + 2], "big") % KINDS for at in range(1, len(drawn) - 1, 2)]
    return raw_calls(drawn[0] % DEFINITIONS, kinds)


CALLS = st.binary(min_size=3, max_size=17).map(drawn_calls)


class Promised(Guarded):
    """A guarded run in which each call keeps what a guard promises.

    Attributes:
        rows: the rows that W&B was given, by the number that the guard expects for them.
    """

    def __init__(self, begun: int = 0) -> None:
        super().__init__(begun)
        self.rows: dict[int, dict[str, Any]] = {}

    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """One call of the script: W&B's number for it, and W&B's open row after it."""
        wandb_step, model, before = self.decisions._wandb_step, self.model, self.model.current
        expected = wandb_step.current
        super().log(data, step, commit)
        number, given = self.actions[-1].step, self.actions[-1].row
        if step is None:
            assert number in (None, before + 1)
        elif step > before:
            assert number == step
        else:
            assert number in (before, before + 1)
        assert expected is not None
        self.rows.setdefault(expected if number is None else number, {}).update(given)
        assert (wandb_step.current, wandb_step.values) == (model.current, model.open or {})


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(CALLS, st.sampled_from((0, 7)))
def test_the_rows_that_wandb_takes_are_those_that_the_guard_promises(calls: list[Call], begun: int) -> None:
    """Steps that are repeated, go back or are missing, axes too, with any ``commit=``; each played twice.

    No call is dropped, and each row has what it was given, under the number that the guard expects. What else it has
    are axes that W&B filled in. A number that no row has was given again by the script, in the same row.
    """
    run, again = Promised(begun), Promised(begun)
    play(calls, run)
    play(calls, again)
    assert again.actions == run.actions
    rows = {row.pop("_step"): row for row in run.model.finish().rows}
    assert rows.keys() == run.rows.keys()
    axes = {options.get("step_metric") for _, options in run.model.calls}
    for number, promised in run.rows.items():
        assert rows[number].items() >= promised.items()
        assert rows[number].keys() - promised.keys() <= axes
    assert_no_number_is_lost(calls, run)
