"""The edits of a program on history records."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from ups.journal.row_rule import Row
from ups.repair.program import LEFT_OUT, TO_SUMMARY
from ups.runfile.items import name_of
from ups.runfile.records import parse_message

__all__ = ["encode", "new_row", "set_step", "set_value", "split_row"]

_IN_EVERY_PART = ("_timestamp", "_runtime", "_step")


def split_row(message: Any, moves: Mapping[str, int]) -> tuple[dict[int, Any], dict[str, str]]:
    """Take the names out of a row that do not stay in it; the message keeps the rest.

    Returns the part for each row of the copy that takes one, as a message of its own, by
    :attr:`ups.repair.program.Program.moves`; and the JSON values for the summary.
    """
    taken: dict[int, list[str]] = defaultdict(list)
    for name, to in moves.items():
        taken[to].append(name)
    moved = {name_of(item): _json(item) for item in message.history.item if name_of(item) in taken[TO_SUMMARY]}
    parts = {}
    for to in taken.keys() - {LEFT_OUT, TO_SUMMARY}:
        parts[to] = parse_message(message.SerializeToString())
        _keep_items(parts[to], {*taken[to], *_IN_EVERY_PART}.__contains__)
    _keep_items(message, lambda name: name not in moves)
    return parts, moved


def set_value(message: Any, name: str, value: object) -> None:
    """Set a name in a row, in each form in which the row holds it."""
    items = [item for item in message.history.item if name_of(item) == name] or [_new_item(message.history, name)]
    for item in items:
        for form in ("none", "boolean", "integer", "number", "text", "json"):
            item.ClearField(form)
        item.value_json = encode(value)


def new_row(row: Row, runtime: float) -> Any:
    """Make a history record, without its step, of a journal's row."""
    message = parse_message(b"")
    for name, value in {**row.values, "_timestamp": row.time, "_runtime": runtime}.items():
        _new_item(message.history, name).value_json = encode(value)
    return message


def set_step(message: Any, step: int) -> None:
    """Set a row's ``_step``."""
    message.history.step.num = step
    set_value(message, "_step", step)


def encode(value: object) -> str:
    """Write a value as the JSON of W&B's files, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value)


def _new_item(history: Any, name: str) -> Any:
    """Add an item of that name, its key in the form of the others."""
    plain = any(item.key for item in history.item)
    item = history.item.add()
    if plain:
        item.key = name
    else:
        item.nested_key.append(name)
    return item


def _json(item: Any) -> str:
    if item.value_json:
        return str(item.value_json)
    for form in ("boolean", "integer", "number"):
        if item.HasField(form):
            return json.dumps(getattr(item, form))
    return str(item.json) or json.dumps(item.text or None)


def _keep_items(message: Any, wanted: Callable[[str], bool]) -> None:
    kept = [item for item in message.history.item if wanted(name_of(item))]
    if len(kept) == len(message.history.item):
        return
    copies = [item.SerializeToString() for item in kept]
    del message.history.item[:]
    for copied in copies:
        message.history.item.add().ParseFromString(copied)
