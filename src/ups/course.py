"""The course of a chart: how its x moves from one point to the next, by the points themselves.

An axis that goes back is not always a counter that began again: evaluations may finish out of order, and an axis may
be measured, or fall. Check, repair and guard all ask this module, so that they agree.

A chart's x *begins again* where it goes back and then runs in order through x that the chart already has: a stage
ran twice, or was resumed from an older checkpoint. Each such run of points is an *attempt*. If x goes back to values
that are new among the old ones, it does not count attempts, and nothing more is concluded.
"""

from __future__ import annotations

from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MOST_ATTEMPTS", "Course", "Courses", "Line", "attempts", "course"]

MOST_ATTEMPTS = 9
"""A counter that begins again more often counts within another one, as a batch does within each epoch."""

_MOST_RUNS = 10_000  # of evenly spaced x in a line's memory: about 2 MB
_TOLERANCE = 1e-9  # of an x, for spacings that a binary fraction cannot hold, such as 0.1


class Course(StrEnum):
    """The ways in which x moves along a chart."""

    FORWARD = "forward"
    """x never goes back. It may stay the same."""
    AGAIN = "again"
    """Each time that x goes back, it runs through earlier x: a counter that begins again."""
    FALLING = "falling"
    """x goes back at every point."""
    OUT_OF_ORDER = "out of order"
    """x goes back to new values, or to single earlier ones."""


def course(x: NDArray[np.float64] | NDArray[np.int64]) -> Course:
    """Find how x moves along a chart.

    Args:
        x: Finite numbers in the order in which the points were logged; float64 or int64, shape (points,).
    """
    import numpy as np

    begins = _begins(x)
    if not len(begins):
        return Course.FORWARD
    if len(begins) == len(x) - 1 and len(x) > 2:
        return Course.FALLING
    values, first, inverse = np.unique(x, return_index=True, return_inverse=True)
    ends = np.append(begins[1:], len(x))
    highest = np.maximum.accumulate(x)
    longest = 0
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        low, high = inverse[begin], np.searchsorted(values, min(x[end - 1], highest[begin - 1]), side="right")
        had = int(np.count_nonzero(first[low:high] < begin))
        within = np.unique(inverse[begin:end])
        again = int(np.count_nonzero((within < high) & (first[within] < begin)))
        longest = max(longest, again)
        if 2 * again < had:
            return Course.OUT_OF_ORDER
    return Course.AGAIN if longest > 1 else Course.OUT_OF_ORDER


class Courses:
    """The courses of several charts, computed once per x, since charts of one axis often have the same x."""

    def __init__(self) -> None:
        self._known: list[tuple[NDArray[np.float64], Course]] = []

    def of(self, x: NDArray[np.float64]) -> Course:
        """Return :func:`course` of ``x``."""
        import numpy as np

        for known, found in self._known:
            if np.array_equal(known, x):
                return found
        self._known.append((x, course(x)))
        return self._known[-1][1]


def attempts(x: NDArray[np.float64] | NDArray[np.int64], known: Course | None = None) -> NDArray[np.int64]:
    """Number the attempt of each point, from 0; int64, shape (points,). All are 0 unless x begins again.

    Args:
        x: As for :func:`course`.
        known: The course of ``x``, if it is known.
    """
    import numpy as np

    number = np.zeros(len(x), dtype=np.int64)
    if (known or course(x)) is Course.AGAIN:
        number[_begins(x)] = 1
    return np.cumsum(number)


def _begins(x: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the points at which x goes back."""
    import numpy as np

    return np.flatnonzero(x[1:] < x[:-1]) + 1


class Line:
    """The x of one chart, point by point.

    It is kept as runs of evenly spaced x, of which a counter has few.

    Attributes:
        last: The x of the last point; -inf before the first point and after :meth:`restart`.
    """

    __slots__ = ("_counts", "_high", "_runs", "last")

    def __init__(self) -> None:
        self.last = self._high = -inf
        self._counts = True  # by the points so far, x may be a counter
        self._runs: list[tuple[float, float, int]] = []  # first x, spacing, number of x

    def begins_again(self, x: float) -> bool:
        """True where a point at ``x`` begins another attempt."""
        return x < self.last and self._counts and self._had(x)

    def follow(self, x: float) -> None:
        """Add a point at ``x``."""
        if x < self.last and not self.begins_again(x):
            self._counts = False
            self._runs = []
        self.last = x
        if x > self._high:
            self._high = x
            if self._counts:
                self._remember(x)

    def restart(self) -> None:
        """Begin another attempt: the next points make a line of their own."""
        self.last = -inf

    def _remember(self, x: float) -> None:
        if not self._runs:
            self._runs.append((x, 0.0, 1))
            return
        first, spacing, count = self._runs[-1]
        if count == 1:
            self._runs[-1] = (first, x - first, 2)
        elif _close(x, first + spacing * count):
            self._runs[-1] = (first, spacing, count + 1)
        elif len(self._runs) < _MOST_RUNS:
            self._runs.append((x, 0.0, 1))
        else:
            self._counts = False
            self._runs = []

    def _had(self, x: float) -> bool:
        for first, spacing, count in self._runs:
            place = round((x - first) / spacing) if spacing else 0
            if 0 <= place < count and _close(x, first + spacing * place):
                return True
        return False


def _close(x: float, expected: float) -> bool:
    """True for equal numbers; fractions may differ in the last bits, whole numbers may not."""
    if x % 1 == 0 and expected % 1 == 0:
        return x == expected
    return abs(x - expected) <= _TOLERANCE * abs(x)
