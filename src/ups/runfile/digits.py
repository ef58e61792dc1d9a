"""Whole numbers with all their digits: the choice of int64 or float64 for a column.

float64 holds every whole number up to 2**53 only, and a run may log larger ones: ``time.time_ns()``, a count of
bytes, a step of 2**60. So a column is int64 if each of its values is a whole number within int64 and at least one is
2**53 or more in size. Every other column is float64, which rounds whole numbers beyond 2**53.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ups.runfile.wire import Positions

__all__ = ["Values", "may_be_rounded", "of_one_type", "with_all_digits", "with_digits_of"]

Values: TypeAlias = NDArray[Any]
"""int64 or float64, as this module chooses."""

_ROUNDED = 2.0**53  # from here on a float stands for several whole numbers
_BEYOND = 2.0**63  # the first whole number that int64 does not hold
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def may_be_rounded(values: Values) -> NDArray[np.bool_]:
    """Mark the numbers that a float may have rounded, the infinities too."""
    found: NDArray[np.bool_] = (values >= _ROUNDED) | (values <= -_ROUNDED)
    return found


def with_all_digits(values: NDArray[np.float64], logged: Callable[[Positions], list[int | float]]) -> Values:
    """Return int64 if each value is a whole number within int64 and one may be rounded; otherwise ``values`` itself.

    ``logged`` is asked for the numbers that may be rounded, as they were logged, by their places.
    """
    rounded = may_be_rounded(values)
    # As a float, the largest int64 is 2**63, and so are larger numbers: the digits as logged decide below.
    if not rounded.any() or not ((np.abs(values) <= _BEYOND) & (values == np.rint(values))).all():
        return values
    exact = [int(number) for number in logged(np.flatnonzero(rounded))]
    if not (min(exact) >= _LOWEST and max(exact) <= _HIGHEST):
        return values
    whole = np.where(rounded, 0, values).astype(np.int64)
    whole[rounded] = exact
    return whole


def with_digits_of(values: NDArray[np.float64], logged: list[int | float]) -> Values:
    """Do :func:`with_all_digits` for numbers that are all in memory."""
    return with_all_digits(values, lambda places: [logged[place] for place in places.tolist()])


def of_one_type(*parts: Values) -> list[Values]:
    """Convert parts of one column to int64 if one is and the others hold only whole numbers; otherwise to float64."""
    types = {part.dtype for part in parts}
    if len(types) == 1:
        return list(parts)
    wanted = np.int64 if all(part.dtype == np.int64 or _is_whole(part) for part in parts) else np.float64
    return [part.astype(wanted, copy=False) for part in parts]


def _is_whole(values: NDArray[np.float64]) -> bool:
    """True where int64 holds all of some floats; False for -2**63, which also stands for lower numbers."""
    return bool(((np.abs(values) < _BEYOND) & (values == np.rint(values))).all())
