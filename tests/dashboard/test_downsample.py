"""A long line is reduced to what a screen can show."""

from __future__ import annotations

import numpy as np
import pytest

from ups.dashboard.downsample import downsample

ROWS = 200_000


def test_every_spike_stays() -> None:
    """Single values far above and below the rest are among the points, wherever they are."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=ROWS)
    spikes = rng.choice(ROWS, 20, replace=False)
    y[spikes] = np.where(np.arange(20) % 2, 1e3, -1e3) * (1 + np.arange(20))
    points = downsample(np.arange(ROWS, dtype=float), y, 600)
    assert set(y[spikes]) <= set(points.y.tolist())
    assert len(points.x) < 2000
    assert not points.exact
    assert points.total == ROWS


def test_both_ends_stay_and_the_order() -> None:
    """The first and the last point are there, each point is one of the line's, and they are in its order."""
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.random(ROWS)), rng.random(ROWS)
    points = downsample(x, y, 100)
    assert (points.x[0], points.x[-1]) == (x[0], x[-1])
    at = np.searchsorted(x, points.x)
    np.testing.assert_array_equal(y[at], points.y)
    assert (np.diff(at) > 0).all()


def test_a_window_is_exact_and_goes_on_beyond_its_edges() -> None:
    """A part of few points has all of them, and the point before and after, so that the line reaches the edges."""
    rng = np.random.default_rng(0)
    points = downsample(np.arange(ROWS, dtype=float), rng.random(ROWS), 600, begin=1000, end=1100)
    assert points.exact
    assert points.total == 101
    assert points.x.tolist() == list(range(999, 1102))


def test_a_window_between_two_points() -> None:
    """Where no point lies in the window, the two around it are given: the line crosses it."""
    points = downsample(np.array([0.0, 10.0, 20.0]), np.zeros(3), 600, begin=12, end=13)
    assert points.x.tolist() == [10, 20]
    assert points.total == 0


def test_values_that_are_not_finite_are_marks() -> None:
    """NaN and the infinities are marks at their x, of their kind, and no points; one a pixel if there are many."""
    y = np.array([1.0, np.nan, np.inf, -np.inf, 2.0, np.nan])
    x = np.array([0.0, 1, 2, 3, 4, np.nan])
    points = downsample(x, y, 600)
    assert points.marks() == [
        {"x": 1.0, "kind": "nan", "at": 1},
        {"x": 2.0, "kind": "inf", "at": 1},
        {"x": 3.0, "kind": "-inf", "at": 1},
    ]
    assert points.x.tolist() == [0, 4]
    many = downsample(np.arange(ROWS, dtype=float), np.full(ROWS, np.nan), 600)
    assert 500 < len(many.mark_x) <= 600
    assert not many.exact


def test_a_line_is_broken_where_values_are_not_finite() -> None:
    """All points: at each such value, behind the last point too. Reduced: where the gap is as wide as a pixel."""
    few = np.array([np.nan, 1, np.nan, np.nan, 2, 3, np.nan])
    assert downsample(np.arange(7.0), few, 600).breaks.tolist() == [1, 3]
    assert downsample(np.arange(7.0), few, 600, begin=3, end=5).breaks.tolist() == [1]
    x, y = np.arange(ROWS, dtype=float), np.random.default_rng(0).random(ROWS)
    y[::50] = np.nan
    y[80_000:120_000] = np.nan
    points = downsample(x, y, 600)
    assert points.course is not None
    for broken, at in ((points, points.breaks), (points.course, points.course.breaks)):
        assert broken.x[at].tolist() == [min(broken.x[broken.x > 100_000])]
        assert 79_800 < max(broken.x[broken.x < 100_000]) < 80_000
    assert points.course.count.sum() == np.isfinite(y).sum()
    assert points.course.y @ points.course.count == pytest.approx(np.nansum(y))


def test_a_line_that_folds_back_keeps_its_order() -> None:
    """Points whose x goes back are reduced in the order in which they are connected."""
    rng = np.random.default_rng(0)
    x = np.concatenate([np.arange(ROWS // 2), np.arange(ROWS // 2)]).astype(float)
    points = downsample(x, rng.random(ROWS), 600)
    assert np.count_nonzero(np.diff(points.x) < 0) == 1
    assert len(points.x) < 2000
