"""Values at paths in nested dictionaries, and the summaries that use them."""

from __future__ import annotations

from typing import Any

from ups.dropin.script_state import ScriptState
from ups.journal.script_summary import ScriptSummary
from ups.nested import put, remove


def test_a_value_is_put_in_place_of_one_that_stands_in_the_way() -> None:
    held: dict[str, Any] = {"a": 1, "b": {"c": 2}}
    put(held, ("a", "x", "y"), 3)
    put(held, ["b", "d"], 4)
    assert held == {"a": {"x": {"y": 3}}, "b": {"c": 2, "d": 4}}


def test_only_the_value_at_the_path_is_removed() -> None:
    held: dict[str, Any] = {"a": {"x": 1, "y": 2}, "b": 3}
    for path in (("a", "x"), ("a", "gone"), ("gone", "x"), ("b", "x")):
        remove(held, path)
    assert held == {"a": {"y": 2}, "b": 3}


def test_a_script_removes_a_value_of_its_summary() -> None:
    """In delivery's model of the summary, and in the one that the script sees."""
    summary, state = ScriptSummary(), ScriptState(0.0)
    summary.change([(["best", "loss"], 1.0), (["best", "step"], 7)], [])
    summary.change([], [["best", "loss"]])
    state.set_summary(["best"], {"loss": 1.0, "step": 7})
    state.remove_summary(["best", "loss"])
    assert summary.values == state.summary == {"best": {"step": 7}}
