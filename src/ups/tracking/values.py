"""Python, NumPy, torch and JAX scalars → numbers that can be drawn."""

from typing import Any

from ups.charts import LARGEST_STEP
from ups.errors import InvalidStep, InvalidValue
from ups.text import shown

__all__ = ["number", "unreadable", "whole_number"]

_LARGEST_INTEGER = 2**63 - 1  # wandb-core holds whole numbers as int64


def number(value: Any) -> int | float:
    """The number that ``value`` holds.

    Accepts ``int``, ``float`` and ``bool`` (as 0 or 1), anything that is one real number (``Fraction``,
    ``Decimal``, a NumPy scalar), and NumPy, torch and JAX arrays of one element, of any number of dimensions.
    NaN and the infinities are numbers. Whole numbers beyond 64 bits become floats.

    Raises:
        InvalidValue: The value is not one number; the message names what it is.
    """
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return int(value)
    if kind is int:
        return value if -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER else _as_float(value)
    if isinstance(value, (str, bytes, bytearray)) or value is None:
        raise InvalidValue(f"{shown(value)} is {_kind(value)}, not a number")
    if isinstance(value, float):
        return float(value)
    try:
        item = getattr(value, "item", None)
        if callable(item):
            return _element(value, item)
        if hasattr(value, "__float__") or hasattr(value, "__index__"):
            return _as_float(value)
    except InvalidValue:
        raise
    except Exception as error:
        raise unreadable(value, error) from error
    raise InvalidValue(f"{shown(value)} is {_kind(value)}, not a number")


def whole_number(step: Any) -> int:
    """The whole number that ``step`` holds: an ``int``, a NumPy, torch or JAX integer, or a float without fraction.

    Raises:
        InvalidStep: The step is not a whole number, or beyond 2**53; the message names what it is.
    """
    if type(step) is int:
        return _in_range(step)
    try:
        value = number(step)
    except InvalidValue as error:
        raise InvalidStep(f"step {error}: pass the stage's step as a whole number") from None
    if isinstance(step, bool) or value != value or value in (float("inf"), float("-inf")) or value != int(value):
        raise InvalidStep(f"step {shown(step)} is not a whole number: count the steps of the stage and pass the count")
    return _in_range(int(value))


def unreadable(value: Any, error: Exception) -> InvalidValue:
    """The error to raise where reading ``value`` fails with ``error``, as for a deleted array."""
    return InvalidValue(f"{_kind(value)} could not be read ({type(error).__name__}: {shown(str(error), 200)})")


def _in_range(step: int) -> int:
    if not -LARGEST_STEP <= step <= LARGEST_STEP:
        raise InvalidStep(f"step {shown(step)} is beyond 2**53, where one step looks like the next in a chart")
    return step


def _element(value: Any, item: Any) -> int | float:
    """The one element of an array, by ``item()``, which NumPy, torch and JAX share."""
    shape = tuple(getattr(value, "shape", ()))
    size = 1
    for length in shape:
        size *= int(length)
    if size != 1:
        raise InvalidValue(
            f"a {_kind(value)} of shape {shape} holds {size} numbers, not one: log its mean, or one metric for each"
        )
    element = item()
    if type(element) in (float, int, bool):
        return number(element)
    if isinstance(element, complex) or not hasattr(element, "__float__"):
        raise InvalidValue(f"{shown(value)} holds {_kind(element)}, not a real number")
    return _as_float(element)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"{shown(value)} is {_kind(value)}, not a number ({error})") from None


def _kind(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "None"
    if kind.__module__ == "builtins":
        return {"str": "a string", "list": "a list", "dict": "a dictionary", "bytes": "bytes"}.get(
            kind.__name__, f"a {kind.__name__}"
        )
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
