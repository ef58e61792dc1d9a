"""Whole numbers keep their digits on the way to the page."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runfile.real_runs import made_runs
from ups.charts import Definitions
from ups.dashboard.downsample import Line, downsample, line_of, origin_and_digits
from ups.dashboard.encoding import plain
from ups.dashboard.live import _new_points
from ups.dashboard.opened_run import OpenedRun, open_path
from ups.runfile import Run

BEGIN = 2**60
INT64 = st.integers(-(2**63), 2**63 - 1)


def opened(name: str) -> OpenedRun:
    """A made run, read to its end."""
    run = open_path(made_runs() / name)
    run.read_all()
    return run


def in_memory(begin: int, end: int) -> list[dict[str, float]]:
    """Rows of large whole numbers, with a NaN now and then in one metric."""
    return [
        {"s/n": 2**62 + at, "s/loss": float("nan") if at % 7 == 3 else at / 3, "s/step": BEGIN + at}
        for at in range(begin, end)
    ]


def run_of(rows: list[dict[str, float]]) -> Run:
    """A run that has these rows."""
    definitions = Definitions()
    definitions.define("s/*", "s/step")
    return Run.from_rows(Path("made"), rows, run_id="made", definitions=definitions)


def test_points_come_with_their_digits() -> None:
    """An axis counts from its first value; the text beside it is what was logged, also in a window and against time."""
    run = opened("whole_numbers")
    every: dict[str, Any] = run.series("wandb", "ns/bytes")
    assert (every["origin"], every["x"].tolist()) == (str(BEGIN), list(range(8)))
    assert every["x_digits"] == [str(BEGIN + step) for step in range(8)]
    assert every["y_digits"] == [str(2**63 - 1 - step) for step in range(8)]
    window: dict[str, Any] = run.series("wandb", "ns/bytes", begin=3, end=4)
    assert window["x"].tolist() == [2, 3, 4, 5]
    assert (window["x_digits"], window["y_digits"]) == (every["x_digits"][2:6], every["y_digits"][2:6])
    by_time: dict[str, Any] = run.series("wandb", "ns/bytes", by_time=True)
    assert not {"origin", "x_digits"} & by_time.keys()
    assert by_time["y_digits"] == every["y_digits"]
    mixed: dict[str, Any] = run.series("wandb", "ns/mixed")
    assert (mixed["origin"], "y_digits" in mixed) == (str(BEGIN), False)
    (stage,) = [stage for stage in run.card.stages if stage.name == "ns"]
    assert stage.last_step == str(BEGIN + 7)
    run.close()


def test_ordinary_points_come_without() -> None:
    """A run whose numbers a browser holds costs nothing more."""
    run = opened("staged")
    assert not {"origin", "x_digits", "y_digits"} & run.series("wandb", "training/operator/loss").keys()
    run.close()


def test_a_line_that_is_reduced_keeps_the_digits_of_its_points() -> None:
    """Of each point that is drawn those that it was logged with, beside breaks and marks."""
    for metric in ("s/n", "s/loss"):
        line = line_of(run_of(in_memory(0, 5_000)), metric)
        points = downsample(line.drawn_x, line.drawn_y, 200)
        found: Any = origin_and_digits(line, points.places)
        assert 200 < len(points.x) < 1_000
        assert found["x_digits"] == [str(BEGIN + int(x)) for x in points.x]
        assert found.get("y_digits") == ([str(2**62 + int(x)) for x in points.x] if metric == "s/n" else None)


def test_points_that_are_new_are_those_of_the_whole_line() -> None:
    """A live page adds them to what it has."""
    for metric in ("s/n", "s/loss"):
        run, parts = run_of([]), []
        for begin in (0, 10, 20):
            run.add_rows(in_memory(begin, begin + 10))
            parts.append(_new_points(run, metric, begin, begin + 10))
        line = line_of(run, metric)
        whole: Any = origin_and_digits(line, np.flatnonzero(np.isfinite(line.drawn_y)))
        for name in ("x_digits", "y_digits"):
            assert [each for part in parts for each in part.get(name, [])] == whole.get(name, [])
        assert {part["origin"] for part in parts} == {whole["origin"]} == {str(BEGIN)}
        assert [x for part in parts for x in part["x"]] == line.drawn_x[np.isfinite(line.drawn_y)].tolist()


@pytest.mark.parametrize("first", [float("inf"), float("nan"), 1e300, 2**63, 2.0**60])
def test_an_axis_of_other_numbers_counts_from_0(first: float) -> None:
    """It is float64; so is the time, whatever is given as one."""
    run = run_of([{"s/loss": 1.0, "s/step": at, "_timestamp": -(2**62) * 2} for at in (first, 0.5, 2**60)])
    line = line_of(run, "s/loss")
    assert origin_and_digits(line, np.arange(3)) == {}
    np.testing.assert_equal(line.drawn_x, np.array([first, 0.5, 2**60], dtype=np.float64))
    assert line_of(run, "s/loss", by_time=True).x.dtype == np.float64


@given(st.lists(INT64, min_size=1), st.one_of(st.just(0), INT64))
def test_x_is_drawn_where_it_lies_from_its_origin(x: list[int], origin: int) -> None:
    """As exactly as a float can say it, however far apart they are."""
    line = Line(np.array(x, dtype=np.int64), np.zeros(len(x)), np.arange(len(x)), len(x), origin)
    wanted = [float(value - origin) for value in x]
    np.testing.assert_allclose(line.drawn_x, wanted, rtol=4e-16)
    near = np.abs(wanted) < 2**53
    assert line.drawn_x[near].tolist() == np.array(wanted)[near].tolist()


def test_a_chart_as_csv_has_every_digit() -> None:
    """Its x and its y."""
    run = opened("whole_numbers")
    _, *rows = csv.reader("".join(run.csv("wandb", "ns/bytes")).splitlines())
    assert [(row[0], row[2]) for row in rows] == [(str(BEGIN + step), str(2**63 - 1 - step)) for step in range(8)]
    run.close()


def test_values_that_a_browser_would_round_are_text() -> None:
    """In a summary, a configuration or a table."""
    assert plain({"a": 2**53 + 1, "b": [-(2**60), 2**53], "c": True}) == {
        "a": "9007199254740993",
        "b": ["-1152921504606846976", 2**53],
        "c": True,
    }
