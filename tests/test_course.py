"""How the x of a chart moves: the kinds of course, and a line that is followed point by point."""

import itertools
from collections.abc import Sequence
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ups.course import Course, Line, attempts, course

COUNTER = [*range(10), *range(5, 15)]


def array(x: Sequence[float]) -> np.ndarray:
    """The x of a chart."""
    return np.array(x, dtype=np.float64)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([], Course.FORWARD),
        ([3], Course.FORWARD),
        ([0, 1, 1, 2], Course.FORWARD),
        (COUNTER, Course.AGAIN),
        ([0, 1, 2, 0, 1, 2, 0, 1, 2], Course.AGAIN),
        ([0, 10, 20, 30, 10, 20, 30, 40], Course.AGAIN),
        ([*range(10), *range(4, 14, 2)], Course.AGAIN),  # half of the x that it had there
        ([6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2], Course.AGAIN),  # from before the first attempt
        ([0.1, 0.2, 0.30000000000000004, 0.2, 0.30000000000000004], Course.AGAIN),
        ([20, 50, 30, 70, 60], Course.OUT_OF_ORDER),  # evaluations as they finish
        ([0, 1, 2, 3, 4, 1, 5], Course.OUT_OF_ORDER),  # one is evaluated again
        ([0, 10, 20, 30, 15, 25, 35], Course.OUT_OF_ORDER),  # a counter or not: nothing shows it
        ([*COUNTER, 7.5, 8.5], Course.OUT_OF_ORDER),
        ([9, 8, 7, 5], Course.FALLING),
        ([9, 8], Course.OUT_OF_ORDER),
    ],
)
def test_course(x: list[float], expected: Course) -> None:
    """Each kind, and near misses."""
    assert course(array(x)) is expected


def test_attempts_begin_where_x_goes_back() -> None:
    """Only a counter that begins again has attempts."""
    assert attempts(array(COUNTER)).tolist() == [0] * 10 + [1] * 10
    assert attempts(array([20, 50, 30])).tolist() == [0, 0, 0]
    assert attempts(array([])).tolist() == []


def test_whole_numbers_beyond_the_floats() -> None:
    """Nanoseconds since 1970 are compared as they are."""
    begin = 1_764_000_000_000_000_000
    x = np.array([begin, begin + 1, begin + 2, begin + 1, begin + 2], dtype=np.int64)
    assert attempts(x).tolist() == [0, 0, 0, 1, 1]


def restarts(x: Sequence[float]) -> list[int]:
    """Where a line, begun again each time that it is asked to be, begins again."""
    line, places = Line(), []
    for place, each in enumerate(x):
        if line.begins_again(each):
            line.restart()
            places.append(place)
        line.follow(each)
    return places


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (COUNTER, [10]),
        ([0, 1, 2, 0, 1, 2, 0, 1, 2], [3, 6]),
        ([5, 6, 7, 6, 7, 8, 5, 6], [3, 6]),  # 5 was in the first attempt only
        ([20, 50, 30, 70, 60, 30], []),  # once it has gone back to a new x, it is no counter
        ([9, 8, 7, 8, 7], []),
        ([x / 10 for x in [*range(40), *range(20, 60)]], [40]),
        ([x * x for x in [*range(40), *range(20, 60)]], [40]),
    ],
)
def test_line(x: list[float], expected: list[int]) -> None:
    """A line begins again at the first x that it has had, each time."""
    assert restarts(x) == expected


@pytest.mark.parametrize("begin", [0, 12_000_000_000, 1_764_000_000_000_000_000])
def test_a_new_whole_number_is_told_from_one_that_was_there(begin: int) -> None:
    """However large the numbers are: steps of a thousand, and one between two of them."""
    line = Line()
    for step in range(5):
        line.follow(begin + 1000 * step)
    assert line.begins_again(begin + 2000)
    assert not line.begins_again(begin + 2007)


def test_a_line_remembers_a_counter_in_little() -> None:
    """A million steps, some left out, are a few runs; what never repeats is given up."""
    line = Line()
    for x in range(1_000_000):
        if x % 100_000:
            line.follow(x)
    assert len(line._runs) < 25
    assert line.begins_again(123_456)
    assert not line.begins_again(300_000)
    irregular = Line()
    for x in range(30_000):
        irregular.follow(x * x)
    assert not irregular._runs
    assert not irregular.begins_again(16)


@given(st.lists(st.integers(0, 8), max_size=40))
def test_a_line_begins_again_only_at_an_x_that_it_had(x: list[int]) -> None:
    """Where a line begins again, the x was there, the line would fold back, and no x before it was a new one behind."""
    begins = restarts(x)
    for place in begins:
        assert x[place] in x[:place]
        assert x[place] < x[place - 1]
    for place in range(1, len(x)):
        if x[place] < x[place - 1] and x[place] not in x[:place]:
            assert all(begin < place for begin in begins)
            break


@given(st.lists(st.integers(0, 8), max_size=40))
def test_attempts_are_what_a_line_finds(x: list[int]) -> None:
    """Where a chart has attempts, they begin wherever it goes back, and its line begins again there or not at all."""
    number = attempts(array(x))
    assert (np.diff(number, prepend=0) >= 0).all()
    back = [place for place in range(1, len(x)) if x[place] < x[place - 1]]
    if number.any():
        assert (np.flatnonzero(np.diff(number)) + 1).tolist() == back
        assert set(restarts(x)) <= set(back)


@given(st.lists(st.floats(-1e6, 1e6), max_size=40))
def test_forward_never_goes_back(x: list[float]) -> None:
    """A course is forward where and only where x never goes back."""
    goes_back = any(later < earlier for earlier, later in itertools.pairwise(x))
    assert (course(array(x)) is Course.FORWARD) != goes_back
    assert Line().last == -inf
