"""Values of a run → JSON, whatever they are: a run is written by anyone."""

import json
import math
from typing import Any

import orjson

__all__ = ["as_json", "plain"]


def as_json(value: Any) -> bytes:
    """The value as JSON. NaN and the infinities have no number in JSON: use :func:`plain` where they may be."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a whole number beyond 64 bits, half a surrogate pair
        return json.dumps(plain(value), allow_nan=False).encode("ascii")


def plain(value: Any) -> Any:
    """The value with NaN and the infinities as words, and with text in place of what JSON does not have."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)
