"""The records of a script's own calls: what is none is damage, and is passed over alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ups.journal.record_types import decode_record, encode_record

DEEP: Any = 0
for _ in range(80):
    DEEP = [DEEP]

RIGHT: list[dict[str, Any]] = [
    {"log": {}},
    {
        "log": {"loss": 0.5, "text": "x", "none": None, "list": [1], "nested": {"a": {"b": 1}}},
        "step": 3,
        "commit": False,
    },
    {"log": {"x": 1}, "step": 2**60},
    {"log": {"large": 2**70, "nan": float("nan")}, "step": -1},
    {"metric": {"name": "a/*", "step_metric": "a/step", "step_sync": False, "hidden": True, "summary": "min,max"}},
    {"metric": {"name": "a", "summary": "best", "goal": "maximize", "overwrite": True, "step_metric": None}},
    {"config_item": {"path": ["_wandb", "visualize", "x"], "value": {"a": 1}}},
    {"summary_items": {"update": [[["a", "b"], 1]], "remove": [["c"]]}},
    {"summary_items": {}},
    {"kept": {"path": "media/images/x.png", "policy": "live"}},
    {"run": {"name": "n", "notes": "", "tags": ["a"]}},
    {"preempting": True},
    {"alert": {"title": "t", "text": "", "level": "WARN", "wait_duration": 3.5}},
]
WRONG: list[dict[str, Any]] = [
    {"log": [1]},
    {"log": {"x": 1}, "step": 1.0},
    {"log": {"x": 1}, "step": True},
    {"log": {"x": 1}, "step": 2**62},
    {"log": {"x": 1}, "commit": 1},
    {"log": {"x": DEEP}},
    {"metric": "a"},
    {"metric": {"name": ""}},
    {"metric": {"name": "a*b"}},
    {"metric": {"name": "a", "step_metric": 3}},
    {"metric": {"name": "a", "hidden": "yes"}},
    {"metric": {"name": "a", "summary": "largest"}},
    {"metric": {"name": "a", "goal": "up"}},
    {"config_item": {"path": [], "value": 1}},
    {"config_item": {"path": "a", "value": 1}},
    {"config_item": {"path": ["a"]}},
    {"summary_items": {"update": [["a", 1]]}},
    {"summary_items": {"update": [[["a"]]]}},
    {"summary_items": {"remove": [[1]]}},
    {"kept": {"path": "../x", "policy": "now"}},
    {"kept": {"path": "/etc/passwd", "policy": "now"}},
    {"kept": {"path": "a/./x", "policy": "now"}},
    {"kept": {"path": "a\0b", "policy": "now"}},
    {"kept": {"path": "a" * 5000, "policy": "now"}},
    {"kept": {"path": "x", "policy": "never"}},
    {"run": {"name": 3}},
    {"run": {"tags": ["x" * 65]}},
    {"run": {"tags": "x"}},
    {"preempting": 1},
    {"alert": {"title": "t", "text": "", "level": "WARN", "wait_duration": "long"}},
    {"alert": {"title": "t", "text": "", "level": "WARN", "wait_duration": float("inf")}},
]


def decoded(record: dict[str, Any]) -> dict[str, Any] | None:
    """A record as it is read from its line."""
    return decode_record(json.dumps({"time": 1.0, **record}).encode())


@pytest.mark.parametrize("record", RIGHT, ids=str)
def test_a_right_record_is_read_as_it_was_written(record: dict[str, Any]) -> None:
    """NaN too, as Python writes it."""
    assert str(decoded(record)) == str({"time": 1.0, **record})


@pytest.mark.parametrize("record", WRONG, ids=lambda record: str(record)[:60])
def test_any_other_is_damage(record: dict[str, Any]) -> None:
    """A wrong type, a name that wandb does not take, a path out of the folder."""
    assert decoded(record) is None


def test_a_name_that_cannot_be_sent_costs_its_value_alone() -> None:
    """Half a surrogate pair, and no name at all; they are counted."""
    record = decoded({"log": {"\ud800": 1, "": 2, "loss": 0.5}})
    assert record == {"time": 1.0, "log": {"loss": 0.5}, "damaged": 2}


def test_a_row_keeps_the_media_that_are_json_of_media() -> None:
    """Anything else beside them is left out, and counted; a row of media alone is one."""
    medium, several = {"_type": "image-file", "path": "x"}, [{"_type": "html-file"}]
    row = {"time": 1.0, "stage": "a", "step": 0, "values": {"loss": 0.5}}
    record = decode_record(
        encode_record({**row, "media": {"i": medium, "l": several, "n": 1, "t": "x", "d": {}, "": medium}})
    )
    assert record == {**row, "media": {"i": medium, "l": several}, "damaged": 4}
    alone = {**row, "values": {}, "media": {"i": medium}}
    assert decode_record(encode_record(alone)) == alone
    several_wrong: tuple[Any, ...] = ([], "x", None, {"n": 1})
    for wrong in several_wrong:
        assert decode_record(encode_record({**row, "values": {}, "media": wrong})) is None
    assert decode_record(encode_record({**row, "values": {"loss": "x"}, "media": {"i": medium}})) == {
        **alone,
        "damaged": 1,
    }
