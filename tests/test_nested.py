"""Values at paths in nested dictionaries, and the summaries that use them."""

from __future__ import annotations

from typing import Any

from ups.dropin.script_state import ScriptState
from ups.journal.script_summary import ScriptSummary
from ups.nested import merge, put, put_whole, remove


def test_a_value_is_put_in_place_of_one_that_stands_in_the_way() -> None:
    held: dict[str, Any] = {"a": 1, "b": {"c": 2}}
    put(held, ("a", "x", "y"), 3)
    put(held, ["b", "d"], 4)
    assert held == {"a": {"x": {"y": 3}}, "b": {"c": 2, "d": 4}}


def test_dictionaries_are_merged_path_by_path() -> None:
    held: dict[str, Any] = {"a": {"x": 1, "y": 2}, "b": 3}
    merge(held, {"a": {"x": 5, "z": {"q": 6}}, "b": {"c": 4}})
    assert held == {"a": {"x": 5, "y": 2, "z": {"q": 6}}, "b": {"c": 4}}


def test_only_the_value_at_the_path_is_removed() -> None:
    held: dict[str, Any] = {"a": {"x": 1, "y": 2}, "b": 3}
    for path in (("a", "x"), ("a", "gone"), ("gone", "x"), ("b", "x")):
        remove(held, path)
    assert held == {"a": {"y": 2}, "b": 3}


def test_a_dictionary_that_is_put_whole_gives_way_to_what_is_put_below_it() -> None:
    held: dict[str, Any] = {}
    whole: set[tuple[str, ...]] = set()
    for path, value in ((("a",), {"x": 1}), (("a", "y"), 2), (("a", "z"), 3), (("b",), {"c": {"d": 1}}), (("b",), 5)):
        put_whole(held, path, value, whole)
    assert held == {"a": {"y": 2, "z": 3}, "b": 5}


def test_a_script_removes_a_value_of_its_summary() -> None:
    """In delivery's model of the summary, and in the one that the script sees."""
    summary, state = ScriptSummary(), ScriptState(0.0)
    summary.change([(["best", "loss"], 1.0), (["best", "step"], 7)], [])
    summary.change([], [["best", "loss"]])
    state.change_summary([(["best", "loss"], 1.0), (["best", "step"], 7)], [])
    state.change_summary([], [["best", "loss"]])
    assert summary.values == state.summary == {"best": {"step": 7}}
