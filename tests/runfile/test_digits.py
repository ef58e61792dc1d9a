"""Whole numbers keep their digits: which columns are int64, and that nothing is rounded in them."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfile.real_runs import made_runs
from runfile.test_hostile import item, row, run_of
from soak.mutants import framed, sized
from ups.charts import Definitions
from ups.check import Verdict, check_run
from ups.repair import plan_repair
from ups.report import render_tree
from ups.runfile import Run
from ups.runfile.history import Column, Columns
from ups.runfile.records import Item
from ups.runs import open_run

INT64 = st.integers(-(2**63), 2**63 - 1)
AROUND = st.sampled_from([0, 2**53, 2**60, 2**63, -(2**53), -(2**60), -(2**63)])
WHOLE = st.one_of(INT64, st.builds(int.__add__, AROUND, st.integers(-600, 600)))  # also beyond int64
FLOATS = st.floats().map(lambda value: value + 0.0)  # no -0.0, which int64 does not have
NUMBERS = st.one_of(WHOLE, FLOATS, FLOATS.map(lambda value: float(np.trunc(value)) + 0.0))
VALUES = st.one_of(NUMBERS, st.booleans(), st.none(), st.just("text"))


def expected(values: list[Any]) -> list[Any]:
    """What a column holds of some values: whole numbers, or floats with NaN for what is no number."""
    numbers = [value if isinstance(value, int | float) else math.nan for value in values]
    whole = all(math.isfinite(value) and value == int(value) and -(2**63) <= value < 2**63 for value in numbers)
    if whole and any(abs(value) >= 2**53 for value in numbers):
        return [int(value) for value in numbers]
    return [float(value) for value in numbers]


def held(column: Column | None) -> list[Any]:
    """A column's values, once their type was found to be the right one."""
    assert column is not None
    values: list[Any] = column.values.tolist()
    assert column.values.dtype == (np.int64 if values and isinstance(values[0], int) else np.float64)
    return values


def json_of(value: Any) -> bytes:
    """A value as wandb writes it."""
    match value:
        case bool() | None:
            return {True: b"true", False: b"false", None: b"null"}[value]
        case str():
            return b'"%s"' % value.encode()
        case float() if math.isinf(value):
            return b"Infinity" if value > 0 else b"-Infinity"
        case float() if math.isnan(value):
            return b"NaN"
    return repr(value).encode()


@given(st.lists(INT64, min_size=1, max_size=80))
def test_whole_numbers_within_int64_are_exact(values: list[int]) -> None:
    """However large they are, and however many rows are read at once."""
    with TemporaryDirectory() as folder:
        run = run_of(Path(folder), *(row(item(b"n", json_of(value))) for value in values))
        assert run.series("n").y.tolist() == values
        assert held(run.column("n")) == expected(values)


@given(st.lists(VALUES, min_size=1, max_size=12), st.integers(0, 12))
def test_a_file_that_grows_is_read_as_documented(values: list[Any], first: int) -> None:
    """A column is int64 or float64 by all that it holds, also where it changes from one to the other on the way."""
    records = [row(item(b"n", json_of(value)), item(b"one", b"1"), step=at) for at, value in enumerate(values)]
    with TemporaryDirectory() as folder:
        run = run_of(Path(folder), *records[:first], row())
        still = run.as_it_is()
        (Path(folder) / "run-made.wandb").write_bytes(framed([*records[:first], row(), *records[first:]]))
        list(run.read_more())
        np.testing.assert_equal(held(run.column("n")), expected(values))
        assert held(run.column("one")) == [1.0] * len(values)
        before = still.column("n")
        np.testing.assert_equal([] if before is None else held(before), expected(values[:first]) if first else [])


@given(st.lists(st.dictionaries(st.sampled_from("ab"), NUMBERS, min_size=1), max_size=12), st.integers(0, 12))
def test_rows_in_memory_are_held_as_documented(rows: list[dict[str, int | float]], first: int) -> None:
    """Rows of different names, added in two goes."""
    columns = Columns.of_rows(rows[:first])
    columns.add_rows(rows[first:])
    for name in columns.names():
        np.testing.assert_equal(held(columns.get(name)), expected([row[name] for row in rows if name in row]))


def test_columns_are_kept_whole_when_they_are_arranged_anew() -> None:
    """Copies of rows are dropped, columns are replaced, and more rows come."""
    columns = Columns.of_rows([{"_step": step % 3, "n": 2**60 + step} for step in range(6)])
    columns.drop_repeated_steps()
    assert held(columns.get("n")) == [2**60, 2**60 + 1, 2**60 + 2]
    column = columns.get("n")
    assert column is not None
    columns.put("other", column)
    columns.add_rows([{"_step": 3, "n": 2**60 + 9, "other": 1}])
    assert held(columns.get("n"))[-1] == 2**60 + 9
    assert held(columns.get("other")) == [2**60, 2**60 + 1, 2**60 + 2, 1]
    columns.add_rows([{"_step": 4, "other": 0.5}])
    assert held(columns.get("other")) == [2.0**60, 2.0**60, 2.0**60, 1.0, 0.5]


def test_both_forms_of_a_key_in_one_row(tmp_path: Path) -> None:
    """The value in a dictionary counts, with all its digits, in whichever order they stand."""
    nested, flat = item([b"a", b"b"], b"1152921504606846977"), item(b"a.b", b"1")
    column = run_of(tmp_path, row(nested, flat), row(flat, nested, step=1)).column("a.b")
    assert held(column) == [2**60 + 1, 2**60 + 1]
    assert column is not None
    assert column.twice == 2


def test_a_value_without_json_is_exact(tmp_path: Path) -> None:
    """As newer clients may write it."""
    typed = Item()
    typed.key, typed.integer = "n", 2**62 + 1
    run = run_of(tmp_path, row(sized(1, typed.encode())), row(item(b"n", b"1"), step=1))
    assert held(run.column("n")) == [2**62 + 1, 1]


def test_the_real_client() -> None:
    """What it was given comes back: an axis, metrics, and W&B's own step."""
    run = open_run(made_runs() / "whole_numbers")
    series = run.series("ns/bytes")
    assert series.x.tolist() == [2**60 + step for step in range(8)]
    assert series.y.tolist() == [2**63 - 1 - step for step in range(8)]
    assert held(run.column("ns/lowest")) == [-(2**63) + step for step in range(8)]
    assert held(run.column("ns/some")) == [2**53 + step for step in range(1, 8, 2)]
    assert held(run.column("ns/mixed")) == [0.5] + [2.0**60] * 7
    steps = open_run(made_runs() / "steps_of_nanoseconds")
    assert held(steps.column("_step")) == steps.series("loss").x.tolist() == [2**60, 2**60 + 1, 2**60 + 2]
    assert steps.last_step == 2**60 + 2


def test_charts_are_judged_by_every_digit() -> None:
    """An axis that float64 would make frozen or stale is neither, and nothing of it is repaired."""
    for name in ("whole_numbers", "steps_of_nanoseconds"):
        run = open_run(made_runs() / name)
        check = check_run(run)
        verdicts = {chart.metric: chart.verdict for chart in check.charts}
        frozen = verdicts.pop("training/operator/loss", Verdict.FROZEN)
        assert (set(verdicts.values()), frozen) == ({Verdict.FULL}, Verdict.FROZEN)
        assert [change.metric for change in plan_repair(run, check=check).charts] == (
            ["training/operator/loss"] if name == "whole_numbers" else []
        )


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ([0, 1, 2, 3], Verdict.FULL),
        ([0, 0, 0, 0], Verdict.FROZEN),
        ([0, 1, 1, 2], Verdict.STALE),
        ([1, 2, 0, 1], Verdict.BACKWARDS),
        ([-(2**61), 2**61, 2**61 + 1, 2**61 + 2], Verdict.FULL),
    ],
)
def test_every_verdict_sees_single_steps(steps: list[int], verdict: Verdict) -> None:
    """Steps of 2**60 and something, in memory: what is said of the chart, and the whole run as a tree."""
    far = (-(2**63), 2**63 - 1)
    rows = [{"s/loss": at, "s/far": far[at % 2], "s/step": 2**60 + step} for at, step in enumerate(steps)]
    definitions = Definitions()
    definitions.define("s/*", "s/step")
    run = Run.from_rows(Path("made"), rows, run_id="made", definitions=definitions, finished=True)
    check = check_run(run)
    assert [chart.verdict for chart in check.charts] == [verdict, verdict]
    said = " ".join(finding.message for finding in check.findings)
    if verdict is Verdict.BACKWARDS:
        assert f"from {2**60 + 2} to {2**60}" in said
    if verdict is Verdict.FROZEN:
        assert f"= {2**60}" in said
    assert "▁█▁█" in render_tree(check, width=100)  # of the values that lie as far apart as int64 allows
