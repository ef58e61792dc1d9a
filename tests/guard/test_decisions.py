"""A guard's decisions by themselves: calls in, actions out."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from test_imports import modules_imported
from ups.guard import decisions as deciding
from ups.guard import row_plan as rows
from ups.guard import strands as axis
from ups.guard.axes import Definition
from ups.guard.decisions import Actions, Decisions
from ups.guard.strands import MOST_PARTS

# What decides, beside what performs; and all that it imports besides.
PURE = ("decisions", "wandb_step", "place", "row_plan", "drawable", "missing", "axes", "strands", "notices")
PLAIN = {"collections", "copy", "dataclasses", "datetime", "math", "operator", "re", "typing", "weakref"}
PLAIN_OF_UPS = ("ups.charts", "ups.course", "ups.errors", "ups.text", "ups.tracking.values")


def log(decisions: Decisions, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> Actions:
    """One call that wandb takes."""
    actions = decisions.log(data, step, commit)
    decisions.logged(actions, data, step, commit)
    return actions


def test_a_right_row_is_passed_as_it_is() -> None:
    """The row itself, no definition, nothing to print."""
    decisions = Decisions()
    decisions.define_metric("a/*", step_metric="a/step")
    for step in range(5):
        for row, number in (({"a/loss": 0.5, "a/step": step}, None), ({"loss": 0.5}, 10 + 2 * step)):
            actions = log(decisions, row, number)
            assert actions.row is row
            assert actions == (row, number, None, (), (), actions.filled, True)
    assert decisions.summary() == ""


def test_a_late_row_leaves_the_next_number_to_the_loop() -> None:
    """It is given the number of the row that comes next, which stays open for the loop."""
    decisions = Decisions()
    log(decisions, {"loss": 0.5}, step=7, commit=True)
    late = log(decisions, {"eval/loss": 0.5}, step=7, commit=True)
    assert (late.row, late.step, late.commit) == ({"eval/loss": 0.5, "eval/step": 7}, 8, None)
    assert [definition.name for definition in late.definitions] == ["eval/step", "eval/loss"]
    following = log(decisions, {"loss": 0.4}, step=8, commit=True)
    assert following == ({"loss": 0.4}, 8, True, (), (), following.filled, True)


def test_a_part_begins_with_its_definitions() -> None:
    """The first row of a part comes with the definitions of its names and one notice; the next rows with none."""
    decisions = Decisions()
    decisions.define_metric("loss", step_metric="epoch", summary="min")
    for epoch in range(3):
        log(decisions, {"loss": 0.5, "epoch": epoch})
    first = log(decisions, {"loss": 0.4, "epoch": 0})
    assert first.row == {"part2/loss": 0.4, "epoch": 0, "part2/epoch": 0}
    assert first.definitions == (
        Definition("part2/epoch", {"hidden": True}),
        Definition("part2/loss", {"step_metric": "part2/epoch", "summary": "min"}),
    )
    assert first.notices == (
        "epoch goes back from 2 to 0: from here on it is part2/epoch, and its metrics are part2/…",
    )
    second = log(decisions, {"loss": 0.4, "epoch": 1})
    assert (second.definitions, second.notices) == ((), ())


def test_after_the_last_part_rows_pass_unchanged() -> None:
    """No x is made up, and it is said once."""
    decisions = Decisions()
    decisions.define_metric("loss", step_metric="batch")
    printed: list[str] = []
    passed = 0
    for _ in range(MOST_PARTS + 3):
        for batch in range(2):
            row = {"loss": 0.5, "batch": batch}
            actions = log(decisions, row)
            printed += actions.notices
            passed += actions.row is row
    assert passed == 4 * 2
    assert printed[-1] == "batch goes back from 1 to 0, for the 9th time: from here on, loss stays as it is"


def test_charts_of_one_row_can_be_in_different_parts() -> None:
    """The row then has the axis of both."""
    decisions = Decisions()
    decisions.define_metric("*", step_metric="epoch")
    for epoch in range(3):
        log(decisions, {"loss": 0.5, "epoch": epoch})
    actions = log(decisions, {"loss": 0.5, "new": 1.0, "epoch": 1})
    assert actions.row == {"part2/loss": 0.5, "new": 1.0, "epoch": 1, "part2/epoch": 1}


def test_an_axis_that_went_back_to_a_new_x_does_not_count() -> None:
    """From then on nothing about it is taken for another part."""
    decisions = Decisions()
    decisions.define_metric("score", step_metric="checkpoint")
    for checkpoint in (20, 50, 30, 70, 30, 20):
        row = {"score": 0.5, "checkpoint": checkpoint}
        assert log(decisions, row).row is row


def test_a_part_follows_on_those_of_earlier_sessions() -> None:
    """A run that is resumed for the third time does not write into the part of the second."""
    summary = {"loss": 0.5, "epoch": 9, "part2/loss": 0.5, "part2/epoch": 8, "_step": 19}
    decisions = Decisions(20, summary)
    decisions.define_metric("loss", step_metric="epoch")
    assert log(decisions, {"loss": 0.5, "epoch": 4}).row == {"part3/loss": 0.5, "epoch": 4, "part3/epoch": 4}


def test_other_processes_count_by_themselves() -> None:
    """``step=`` is left out, and is an axis; it is said once, by one process."""
    decisions = Decisions()
    decisions.other_processes()
    first = log(decisions, {"x": 0.5}, step=3)
    assert (first.row, first.step, first.commit) == ({"x": 0.5, "x/step": 3}, None, None)
    assert len(first.notices) == 1
    assert log(decisions, {"x": 0.5}, step=4).notices == ()
    quiet = Decisions()
    quiet.other_processes(known=True)
    assert log(quiet, {"x": 0.5}, step=3).notices == ()
    assert quiet.summary() == "calls of other processes: 1"


@pytest.mark.parametrize("step", [True, 3.0, "3", object()])
def test_what_wandb_refuses_is_passed_on(step: Any) -> None:
    """The call is the script's own, and nothing is concluded from it."""
    decisions = Decisions()
    row = {"loss": 0.5}
    actions = decisions.log(row, step)
    assert (actions.row, actions.step, actions.judged) == (row, step, False)


def test_memory_is_bounded() -> None:
    """Rows whose names differ each time leave no plan behind for each."""
    decisions = Decisions()
    for number in range(20_000):
        log(decisions, {f"metric{number}-{index}": 0.5 for index in range(6)} | {"loss": 0.5})
    kept = decisions._rows
    assert sum(map(len, kept._plans)) <= rows._MOST_PLANNED + 7
    assert sum(map(len, decisions._axes.get("_step")._found)) <= axis._MOST_FOUND + 7


def test_a_metric_beside_one_in_a_part_has_the_axis_by_its_own_name() -> None:
    """Two calls of one step make one row; the second metric is new, and stays out of the first one's part."""
    decisions = Decisions()
    decisions.define_metric("b/*", step_metric="b/step")
    for step in (0, 10, 0, 10):
        log(decisions, {"b/loss": 0.5}, step)
    assert log(decisions, {"b/loss": 0.5}, 20).row == {"part2/b/loss": 0.5, "part2/b/step": 20}
    assert log(decisions, {"b/other": 0.5}, 20).row == {"b/other": 0.5, "b/step": 20}


@pytest.mark.parametrize("name", PURE)
def test_what_decides_imports_nothing_that_reads_or_writes(name: str) -> None:
    """No wandb, no file, no clock, no process; and it calls no built-in that reads or writes."""
    path = Path(deciding.__file__).with_name(f"{name}.py")
    of_guard = tuple(f"ups.guard.{each}" for each in PURE)
    imports = modules_imported(path)
    assert [each for each in imports if each.split(".")[0] not in {*PLAIN, "ups"}] == []
    assert [
        each for each in imports if each.startswith("ups") and not each.startswith((*of_guard, *PLAIN_OF_UPS))
    ] == []
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called.isdisjoint({"print", "open", "input", "exec", "eval", "__import__"})


def test_actions_stay_as_they_were_given() -> None:
    """They share nothing with the decisions on later calls."""
    decisions = Decisions()
    decisions.define_metric("loss", step_metric="epoch")
    log(decisions, {"loss": 0.5, "epoch": 3})
    actions = log(decisions, {"loss": 0.4}, commit=False)
    assert actions.filled == {"epoch"}
    log(decisions, {"other": 0.4})
    assert actions.filled == {"epoch"}
