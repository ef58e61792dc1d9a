"""Records → rows: open rows, and what settles them."""

from __future__ import annotations

from typing import Any

from ups.journal.row_rule import Row, RowRule


def record(stage: str, step: int, *, is_open: bool = True, **values: float) -> dict[str, Any]:
    made: dict[str, Any] = {"time": float(step), "stage": stage, "step": step, "values": values}
    return {**made, "open": True} if is_open else made


def drawn(rows: list[Row]) -> list[tuple[str, dict[str, Any]]]:
    return [(row.axis or "", {name.rpartition("/")[2]: value for name, value in row.values.items()}) for row in rows]


def test_rows_are_settled_by_the_next_step_of_any_stage_that_was_open() -> None:
    """In the order in which they were begun; the values of one step are one row."""
    rule = RowRule()
    assert rule.rows(record("a", 0, loss=1.0, lr=0.1), "p") == []
    assert rule.rows(record("b", 0, loss=2.0), "p") == []
    assert rule.rows(record("a", 0, loss=3.0), "p") == []
    assert rule.is_open("p")
    assert drawn(rule.rows(record("a", 1, loss=4.0), "p")) == [
        ("training/a/step", {"loss": 3.0, "lr": 0.1, "step": 0}),
        ("training/b/step", {"loss": 2.0, "step": 0}),
    ]
    assert drawn(rule.rows({"time": 0.0, "end": {"exit_code": 0}}, "p")) == [
        ("training/a/step", {"loss": 4.0, "step": 1})
    ]
    assert not rule.is_open("p")
    assert not rule.skipped_values


def test_a_row_that_is_not_open_comes_behind_the_one_that_is() -> None:
    """And a process's rows are settled by nothing that another one says."""
    rule = RowRule()
    assert rule.rows(record("a", 0, loss=1.0), "p") == []
    assert rule.rows(record("a", 0, loss=1.5), "q") == []
    assert drawn(rule.rows(record("a", 1, is_open=False, loss=2.0), "p")) == [
        ("training/a/step", {"loss": 1.0, "step": 0}),
        ("training/a/step", {"loss": 2.0, "step": 1}),
    ]
    assert rule.is_open("q")
    assert rule.settle("q") == []
    assert rule.skipped_values == {"a": 1}
