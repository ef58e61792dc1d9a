"""The edits of a program on history records."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping

from ups.journal.row_rule import Row
from ups.repair.program import LEFT_OUT, TO_SUMMARY
from ups.runfile.items import name_of
from ups.runfile.message import Message
from ups.runfile.records import Item, Record

__all__ = ["encode", "new_row", "set_step", "set_value", "split_row"]

_IN_EVERY_PART = ("_timestamp", "_runtime", "_step")


def split_row(message: Message, moves: Mapping[str, int]) -> tuple[dict[int, Message], dict[str, str]]:
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
        parts[to] = Record(message.encode())
        _keep_items(parts[to], {*taken[to], *_IN_EVERY_PART}.__contains__)
    _keep_items(message, lambda name: name not in moves)
    return parts, moved


def set_value(message: Message, name: str, value: object) -> None:
    """Set a name in a row, in each form in which the row holds it."""
    items = [item for item in message.history.item if name_of(item) == name] or [_new_item(message.history, name)]
    for item in items:
        for form in ("none", "boolean", "integer", "number", "text", "json"):
            vars(item).pop(form, None)
        item.value_json = encode(value)


def new_row(row: Row, runtime: float) -> Message:
    """Make a history record, without its step, of a journal's row."""
    message = Record()
    for name, value in {**row.values, "_timestamp": row.time, "_runtime": runtime}.items():
        _new_item(message.history, name).value_json = encode(value)
    return message


def set_step(message: Message, step: int) -> None:
    """Set a row's ``_step``."""
    message.history.step.num = step
    set_value(message, "_step", step)


def encode(value: object) -> str:
    """Write a value as the JSON of W&B's files, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value)


def _new_item(history: Message, name: str) -> Message:
    """Add an item of that name, its key in the form of the others."""
    plain = any(item.key for item in history.item)
    item = Item(key=name) if plain else Item(nested_key=[name])
    history.item.append(item)
    return item


def _json(item: Message) -> str:
    if item.value_json:
        return str(item.value_json)
    for form in ("boolean", "integer", "number"):
        if form in item:
            return json.dumps(getattr(item, form))
    return str(item.json) or json.dumps(item.text or None)


def _keep_items(message: Message, wanted: Callable[[str], bool]) -> None:
    message.history.item = [item for item in message.history.item if wanted(name_of(item))]
