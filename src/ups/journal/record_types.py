"""The records of a journal, which anyone may have written: any other line is damage, and is passed over alone."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from ups.charts import LARGEST_STEP, check_metric_name, check_stage_name
from ups.journal.untrusted import DEEPEST, is_finite, is_plain, parse
from ups.journal.wandb_limits import passes

__all__ = ["decode_record", "encode_record"]


def encode_record(record: dict[str, Any]) -> bytes:
    """Write ``record`` as a line of a journal."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"


def decode_record(line: bytes) -> dict[str, Any] | None:
    """Read the record in a line of a journal; None if it holds none.

    A row keeps the numbers whose names can be drawn; ``damaged`` counts the values that are left out.
    """
    try:
        record = orjson.loads(line)
        if line.count(b"{") + line.count(b"[") > DEEPEST and not is_plain(record):
            return None
    except ValueError:  # NaN, an infinity, half a surrogate pair, an integer beyond 64 bits, or damage
        try:
            record = parse(line)
        except ValueError:
            return None
    return record if isinstance(record, dict) and _is_record(record) else None


def _is_record(record: dict[str, Any]) -> bool:
    """True where an object has a time, and every field of its kind, of the right type."""
    if not is_finite(record.get("time")):
        return False
    if "values" in record:
        return _has_values(record) and ("stage" not in record or _has_place(record))
    return all(holds(record) for kind, holds in _KINDS.items() if kind in record)


def _has_values(record: dict[str, Any]) -> bool:
    """True where a row has a value that can be drawn, or no values; the others are taken out of it."""
    values = record["values"]
    if not isinstance(values, dict):
        return False
    if all(map(_is_number, values.values())) and all(map(_is_metric, values)):
        return True
    right = {name: value for name, value in values.items() if _is_number(value) and _is_metric(name)}
    record["values"], record["damaged"] = right, len(values) - len(right)
    return bool(right)


def _has_place(record: dict[str, Any]) -> bool:
    """True where a row has its stage and step."""
    stage, step = record["stage"], record.get("step")
    return isinstance(stage, str) and _is_stage(stage) and type(step) is int and abs(step) <= LARGEST_STEP


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and -(2**63) <= value < 2**63)


@lru_cache(maxsize=100_000)
def _is_metric(name: str) -> bool:
    return passes(check_metric_name, name)


@lru_cache(maxsize=100_000)
def _is_stage(name: str) -> bool:
    return passes(check_stage_name, name)


def _texts(*names: str) -> Callable[[Any], bool]:
    return lambda held: isinstance(held, dict) and all(isinstance(held.get(name), str) for name in names)


def _is_result(value: Any) -> bool:
    return isinstance(value, (str, bool)) or _is_number(value)


_KINDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "table": lambda record: _texts("table", "path")(record) and _is_metric(record["table"]),
    "image": lambda record: (
        _texts("image", "path")(record)
        and _is_metric(record["image"])
        and isinstance(record.get("caption"), str | None)
    ),
    "summary": lambda record: (
        isinstance(record["summary"], dict)
        and all(map(_is_metric, record["summary"]))
        and all(map(_is_result, record["summary"].values()))
    ),
    "config": lambda record: isinstance(record["config"], dict),
    "tags": lambda record: isinstance(record["tags"], list) and all(isinstance(tag, str) for tag in record["tags"]),
    "end": lambda record: isinstance(record["end"], dict) and type(record["end"].get("exit_code")) is int,
    "file": lambda record: _texts("base", "name")(record["file"]),
    "artifact": lambda record: _texts("path", "name", "type")(record["artifact"]),
    "alert": lambda record: (
        _texts("title", "text", "level")(record["alert"]) and record["alert"]["level"] in ("INFO", "WARN", "ERROR")
    ),
    "begin": lambda record: isinstance(record["begin"], dict),
}
