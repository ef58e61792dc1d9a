"""The rows of a script that calls wandb itself: those that W&B holds of the script with a guard."""

from __future__ import annotations

import copy
import os
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guard.guarded import Guarded
from guard.made_loops import Call, made, play
from guard.raw_calls import DEFINITIONS, KINDS, raw_calls
from ups.charts import Definitions
from ups.journal.script_rows import ScriptRows
from ups.journal.wandb_rows import ScriptRow

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "500"))
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
RAW = st.builds(
    raw_calls, st.integers(0, DEFINITIONS - 1), st.lists(st.integers(0, KINDS - 1), min_size=1, max_size=10)
)
LOOPS = st.integers(0, 2**64).map(lambda seed: made(Random(seed)))


class Journaled:
    """A script whose calls are journaled.

    Attributes:
        rows: the rows that come of them.
        made: every definition that W&B gets.
    """

    def __init__(self) -> None:
        self.script = ScriptRows(Definitions())
        self.rows: list[ScriptRow] = []
        self.made: list[tuple[str, dict[str, Any]]] = []

    def define_metric(self, name: str, **options: Any) -> None:
        """One definition of the script."""
        self.made.append((name, options))
        self.made += self.script.define({"name": name, **options})

    def log(
        self,
        data: dict[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        *,
        time: float = 1.0,
        process: str = "p",
    ) -> None:
        """One call of the script."""
        definitions, rows = self.script.log(copy.deepcopy(data), step, commit, time, process)
        self.made += definitions
        self.rows += rows

    def end(self, process: str = "p") -> None:
        """The end of a process."""
        self.rows += self.script.settle(process)


def numbered(rows: list[ScriptRow]) -> list[dict[str, Any]]:
    """The rows as W&B holds them where nothing else is in the run."""
    held, number = [], -1
    for row in rows:
        number = max(row.number, number + 1)
        held.append({**row.values, "_step": number})
    return held


@MANY
@given(RAW | LOOPS)
def test_the_rows_are_those_that_wandb_makes_of_a_guarded_run(calls: list[Call]) -> None:
    """Values, filled axes and numbers, and the definitions, by the model that the real client is held against."""
    guarded, journaled = Guarded(), Journaled()
    play(calls, guarded)
    play(calls, journaled)
    journaled.end()
    assert str(list(map(ordered, numbered(journaled.rows)))) == str(list(map(ordered, guarded.model.finish().rows)))
    assert journaled.made == guarded.model.calls


@MANY
@given(RAW | LOOPS)
def test_the_same_calls_give_the_same_rows(calls: list[Call]) -> None:
    """Whatever else has been read in between."""
    first, second = Journaled(), Journaled()
    for call in calls:
        play([call], first)
        play([call], second)
    first.end()
    second.end()
    assert str(first.rows) == str(second.rows)
    assert str(first.script.summary.values) == str(second.script.summary.values)


def ordered(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its names in one order, and numbers as floats."""
    return {name: float(row[name]) for name in sorted(row)}


def test_media_are_one_value_and_text_stays() -> None:
    """The numbers in a media object make no metrics, also where the guard writes the row again."""
    image = {"_type": "image-file", "path": "media/images/a.png", "size": 7, "width": 2}
    run = Journaled()
    run.log({"loss": 1.0}, step=5, commit=True)
    run.log({"loss": 2.0, "image": image, "note": "text", "nested": {"image": image}}, step=3)
    run.end()
    assert run.rows[1].values["image"] == image
    assert run.rows[1].values["nested"] == {"image": image}
    assert run.rows[1].values["note"] == "text"
    assert run.rows[1].values["part2/loss"] == 2.0
    assert [name for name, _ in run.made] == ["part2/loss/step", "part2/loss"]


def test_calls_of_one_row_join_path_by_path_and_have_the_time_of_the_last() -> None:
    """Nested dictionaries too."""
    run = Journaled()
    run.log({"a": {"x": 1, "y": 1}, "b": None}, commit=False, time=1.0)
    run.log({"a": {"y": 2, "z": 3}, "_step": 99}, time=2.0)
    run.log({"c": [1, 2], "_timestamp": 7.5}, time=3.0)
    assert [row.values for row in run.rows] == [{"a": {"x": 1, "y": 2, "z": 3}, "b": None}, {"c": [1, 2]}]
    assert [row.time for row in run.rows] == [2.0, 7.5]


def test_an_empty_call_is_a_row_and_takes_a_number() -> None:
    """As with wandb, which gives it a time."""
    run = Journaled()
    run.log({})
    run.log({"x": 1})
    assert numbered(run.rows) == [{"_step": 0}, {"x": 1, "_step": 1}]


@pytest.mark.parametrize("axis", ["epoch", "where.epoch"])
def test_an_axis_is_filled_in_with_its_last_value(axis: str) -> None:
    """A whole number first, and at the dots of its name."""
    run = Journaled()
    run.define_metric("val/*", step_metric=axis)
    nested = {"epoch": 4} if axis == "epoch" else {"where": {"epoch": 4}}
    run.log(nested)
    run.log({"val/acc": 0.5})
    assert run.rows[1].values == {"val/acc": 0.5, **nested}


def test_rows_of_processes_that_log_at_once_take_turns() -> None:
    """Each process has an open row of its own, and none has a number of the script's."""
    run = Journaled()
    run.log({"a": 1.0}, step=10, process="p")
    run.log({"b": 1.0}, commit=False, process="q")
    run.log({"a": 2.0}, step=11, process="p")
    run.log({"c": 1.0}, process="q")
    run.end("q")
    run.end("p")
    assert [row.values for row in run.rows] == [
        {"a": 1.0},
        {"part2/a": 2.0, "part2/a/step": 11},
        {"b": 1.0, "c": 1.0},
    ]
    assert [row["_step"] for row in numbered(run.rows)] == [10, 11, 12]


def test_a_training_that_resumes_continues_the_numbers() -> None:
    """Its own ``step=`` counts where the one before has ended, with an end or without."""
    run = Journaled()
    for step in range(3):
        run.log({"loss": 1.0}, step=step, process="p")
    run.end("p")
    run.script.begin(owner=True)
    for step in range(3, 5):
        run.log({"loss": 1.0}, step=step, process="q")
    run.script.begin(owner=True)  # q was killed
    run.rows += run.script.settle("q")
    run.log({"loss": 1.0}, process="r")
    assert [row["_step"] for row in numbered(run.rows)] == [0, 1, 2, 3, 4, 5]
    assert not any("step" in row.values for row in run.rows)
