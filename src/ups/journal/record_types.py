"""The records of a journal, which anyone may have written: any other line is damage, and is passed over alone."""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

from ups.charts import LARGEST_STEP, check_metric_name, check_stage_name
from ups.journal.untrusted import DEEPEST, is_finite, is_plain, parse
from ups.journal.wandb_limits import check_tag, passes

__all__ = ["SUMMARIES", "decode_record", "encode_record"]

SUMMARIES = frozenset({"min", "max", "mean", "first", "last", "best", "copy", "none"})
"""The values of ``define_metric(summary=)``, any of them joined by commas."""

_LONGEST_PATH = 4096
_LARGEST_NUMBER = 2**61  # of a script's row: 73 years of nanoseconds, and W&B's int64 has room to count further
_ANSWER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}\Z")


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
    if "log" in record:
        return _has_call(record)
    return all(holds(record) for kind, holds in _KINDS.items() if kind in record)


def _has_values(record: dict[str, Any]) -> bool:
    """True where a row has a value that can be drawn, or no values; the others are taken out of it."""
    values = record["values"]
    if not isinstance(values, dict):
        return False
    has_media = "media" not in record or _has_media(record)
    if all(map(_is_number, values.values())) and all(map(_is_metric, values)):
        return has_media
    right = {name: value for name, value in values.items() if _is_number(value) and _is_metric(name)}
    record["values"], record["damaged"] = right, record.get("damaged", 0) + len(values) - len(right)
    return has_media and bool(right or record.get("media"))


def _has_media(record: dict[str, Any]) -> bool:
    """True where the media of a row are there by name; what is not JSON of a medium is taken out of them."""
    media = record["media"]
    if not isinstance(media, dict):
        return False
    record["media"] = {name: value for name, value in media.items() if _is_medium(value) and _is_metric(name)}
    if len(record["media"]) < len(media):
        record["damaged"] = len(media) - len(record["media"])
    return bool(record["values"] or record["media"])


def _has_call(record: dict[str, Any]) -> bool:
    """True where a call of a script's ``log`` has its values and arguments; those that W&B cannot name are taken out.

    A row is a call, also where nothing is in it.
    """
    values, step = record["log"], record.get("step", 0)
    if not isinstance(values, dict) or type(step) is not int or abs(step) > _LARGEST_NUMBER:
        return False
    if type(record.get("commit", True)) is not bool:
        return False
    if not all(map(_is_name, values)):
        right = {name: value for name, value in values.items() if _is_name(name)}
        record["log"], record["damaged"] = right, len(values) - len(right)
    return True


def _has_place(record: dict[str, Any]) -> bool:
    """True where a row has its stage and step."""
    stage, step = record["stage"], record.get("step")
    return isinstance(stage, str) and _is_stage(stage) and type(step) is int and abs(step) <= LARGEST_STEP


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and -(2**63) <= value < 2**63)


def _is_medium(value: Any) -> bool:
    """True for the JSON of a medium, or of a list of them."""
    media = value if isinstance(value, list) else [value]
    return bool(media) and all(isinstance(each, dict) and isinstance(each.get("_type"), str) for each in media)


@lru_cache(maxsize=100_000)
def _is_metric(name: str) -> bool:
    return passes(check_metric_name, name)


@lru_cache(maxsize=100_000)
def _is_name(name: str) -> bool:
    """True where a name can be sent to W&B: half a surrogate pair cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name) and "\0" not in name


@lru_cache(maxsize=100_000)
def _is_stage(name: str) -> bool:
    return passes(check_stage_name, name)


def _texts(*names: str) -> Callable[[Any], bool]:
    return lambda held: isinstance(held, dict) and all(isinstance(held.get(name), str) for name in names)


def _is_path(value: Any) -> bool:
    """True where a list of names leads to a value in nested dictionaries."""
    names = isinstance(value, list) and 0 < len(value) <= DEEPEST
    return names and all(isinstance(name, str) and _is_name(name) for name in value)


def _is_definition(given: Any) -> bool:
    """True where a call of ``define_metric`` has a name that wandb takes, and arguments of the right type."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        return False
    texts = [given[name] for name in ("name", "step_metric", "summary", "goal") if given.get(name) is not None]
    truths = [given.get(name) for name in ("step_sync", "hidden", "overwrite")]
    return (
        all(isinstance(text, str) and _is_name(text) for text in texts)
        and all(truth is None or isinstance(truth, bool) for truth in truths)
        and "*" not in given["name"][:-1]
        and SUMMARIES.issuperset((given.get("summary") or "last").split(","))
        and given.get("goal") in (None, "minimize", "maximize")
    )


def _are_changes(given: Any) -> bool:
    """True where a script's changes of the summary are values at paths, and paths to remove."""
    if not isinstance(given, dict):
        return False
    update, remove = given.get("update", []), given.get("remove", [])
    if not isinstance(update, list) or not isinstance(remove, list):
        return False
    return all(isinstance(each, list) and len(each) == 2 and _is_path(each[0]) for each in update) and all(
        map(_is_path, remove)
    )


def _is_below(path: Any) -> bool:
    """True where a path leads to a place below a folder, as far as its text shows."""
    if not isinstance(path, str) or not _is_name(path) or len(path) > _LONGEST_PATH:
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def _is_run(given: Any) -> bool:
    if not isinstance(given, dict):
        return False
    texts = [given[name] for name in ("name", "notes") if given.get(name) is not None]
    tags = given.get("tags", [])
    return (
        all(isinstance(text, str) and _is_name(text or "-") for text in texts)
        and isinstance(tags, list)
        and all(isinstance(tag, str) and passes(check_tag, tag) and _is_name(tag) for tag in tags)
    )


def _is_alert(alert: Any) -> bool:
    waits = isinstance(alert, dict) and alert.get("wait_duration", 0)
    return _texts("title", "text", "level")(alert) and alert["level"] in ("INFO", "WARN", "ERROR") and is_finite(waits)


def _is_artifact(given: Any) -> bool:
    """True where an artifact has a type, a name and, where an answer is awaited, a file's name for that."""
    if not isinstance(given, dict) or not isinstance(given.get("artifact"), dict):
        return False
    answer = given.get("answer", "-")
    named = isinstance(answer, str) and _ANSWER.match(answer) is not None
    return named and _texts("type", "name")(given["artifact"])


def _is_image(given: Any) -> bool:
    return _texts("path")(given) and isinstance(given.get("caption"), str | None)


def _is_result(value: Any) -> bool:
    return isinstance(value, (str, bool)) or _is_number(value)


_KINDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "table": lambda record: (
        _texts("table", "path")(record)
        and _is_metric(record["table"])
        and ("stage" not in record or _has_place(record))
    ),
    "image": lambda record: (
        _is_image(record)
        and isinstance(record["image"], str)
        and _is_metric(record["image"])
        and isinstance(more := record.get("more", []), list)
        and all(map(_is_image, more))
        and ("stage" not in record or _has_place(record))
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
    "alert": lambda record: _is_alert(record["alert"]),
    "metric": lambda record: _is_definition(record["metric"]),
    "config_item": lambda record: (
        isinstance(record["config_item"], dict)
        and _is_path(record["config_item"].get("path"))
        and "value" in record["config_item"]
    ),
    "summary_items": lambda record: _are_changes(record["summary_items"]),
    "kept": lambda record: (
        isinstance(record["kept"], dict)
        and _is_below(record["kept"].get("path"))
        and record["kept"].get("policy") in ("now", "live", "end")
    ),
    "artifact_record": lambda record: _is_artifact(record["artifact_record"]),
    "use_artifact": lambda record: _texts("id", "type", "name")(record["use_artifact"]),
    "run": lambda record: _is_run(record["run"]),
    "preempting": lambda record: record["preempting"] is True,
    "begin": lambda record: isinstance(record["begin"], dict),
}
