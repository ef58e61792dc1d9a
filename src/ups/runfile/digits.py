"""Whole numbers with all their digits: which values are int64, and which float64.

A float64 is every whole number up to 2**53 only, and a run may log larger ones: ``time.time_ns()``, a count of bytes, a
step of 2**60. So the values of a column are int64 if each of them is a whole number within int64, and at least one
is 2**53 or more in size. All other values are float64, which rounds whole numbers beyond 2**53.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ups.runfile.wire import Positions

__all__ = ["Values", "may_be_rounded", "of_one_type", "with_all_digits", "with_digits_of"]

Values: TypeAlias = NDArray[Any]
"""int64 or float64, as this module says."""

_ROUNDED = 2.0**53  # from here on a float may stand for several whole numbers
_BEYOND = 2.0**63  # the first whole number that int64 does not hold
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def may_be_rounded(values: Values) -> NDArray[np.bool_]:
    """Which of some numbers a float may have rounded; the infinities are among them."""
    found: NDArray[np.bool_] = (values >= _ROUNDED) | (values <= -_ROUNDED)
    return found


def with_all_digits(values: NDArray[np.float64], logged: Callable[[Positions], list[int | float]]) -> Values:
    """The values as int64 where each is a whole number within int64, and one may be rounded; else as they are.

    Args:
        logged: Gives the numbers at some places as they were logged. Called for those that may be rounded.
    """
    rounded = may_be_rounded(values)
    # The largest int64 is 2**63 as a float: whether it was that one, or a larger one, shows below.
    if not rounded.any() or not ((np.abs(values) <= _BEYOND) & (values == np.rint(values))).all():
        return values
    exact = [int(number) for number in logged(np.flatnonzero(rounded))]
    if not (min(exact) >= _LOWEST and max(exact) <= _HIGHEST):
        return values
    whole = np.where(rounded, 0, values).astype(np.int64)
    whole[rounded] = exact
    return whole


def with_digits_of(values: NDArray[np.float64], logged: list[int | float]) -> Values:
    """:func:`with_all_digits` of numbers that are all in memory."""
    return with_all_digits(values, lambda places: [logged[place] for place in places.tolist()])


def of_one_type(*parts: Values) -> list[Values]:
    """Parts of one column, all of them int64 if one is and the others hold only whole numbers; else all float64."""
    types = {part.dtype for part in parts}
    if len(types) == 1:
        return list(parts)
    wanted = np.int64 if all(part.dtype == np.int64 or _is_whole(part) for part in parts) else np.float64
    return [part.astype(wanted, copy=False) for part in parts]


def _is_whole(values: NDArray[np.float64]) -> bool:
    """True where int64 holds all of some floats; not for -2**63, which also stands for a lower number."""
    return bool(((np.abs(values) < _BEYOND) & (values == np.rint(values))).all())
