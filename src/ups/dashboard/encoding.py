"""Values of a run → JSON, whatever they are: a run is written by anyone."""

import json
import math
from typing import Any

import orjson

__all__ = ["as_json", "as_whole", "plain"]

_LARGEST = 2**53  # whole numbers beyond it a browser rounds
_DEEPEST = 100  # dictionaries and lists within each other; orjson takes 254


def as_json(value: Any) -> bytes:
    """Write a value as JSON. NaN and the infinities are not JSON numbers: use :func:`plain` where they may occur."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a whole number beyond 64 bits, half a surrogate pair
        return json.dumps(plain(value), allow_nan=False).encode("ascii")


def plain(value: Any, depth: int = 0) -> Any:
    """Copy a value, with NaN and the infinities as words, and with text in place of values that a browser lacks.

    Values that are nested deeper than anyone reads are left out.
    """
    if isinstance(value, dict | list | tuple) and depth == _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {str(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, str | bool | int | float):
        return as_whole(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth)
    return str(value)


def as_whole(value: Any) -> Any:
    """The value; text where it is a whole number that a browser would round."""
    return str(value) if isinstance(value, int) and abs(value) > _LARGEST else value
