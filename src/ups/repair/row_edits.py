"""The edits of a program on history records."""

import json
from collections.abc import Mapping

from ups.repair.program import LEFT_OUT, TO_SUMMARY
from ups.runfile.items import name_of
from ups.runfile.message import Message
from ups.runfile.records import HistoryRecord, Item, Kind
from ups.runfile.wire import SIZED, fields_in, sized

__all__ = ["EncodedRow", "encode"]

_IN_EVERY_PART = ("_timestamp", "_runtime", "_step")
_NUMBER, _ITEM, _VALUE_JSON = 1, 1, 16  # the fields of a record, of a history record, and of an item
_GROUPS = 100  # in each other, as a message can hold them


class EncodedRow:
    """A history record that is edited as bytes: only items of rare forms are parsed."""

    def __init__(self, record: bytes) -> None:
        self._items: list[tuple[str, bytes]] = []  # the name and the encoded item
        self._around = rest = b""
        for number, begin, start, end in fields_in(record):
            if number == Kind.HISTORY:
                history = record[start:end]
                for field, low, content, high in fields_in(history, _GROUPS):
                    if field == _ITEM and history[low] & 7 == SIZED:
                        self._items.append(_named(history[content:high]))
                    else:
                        rest += history[low:high]
            elif number != _NUMBER:
                self._around += record[begin:end]
        self._rest = HistoryRecord(rest)

    def split(self, moves: Mapping[str, int]) -> tuple[dict[int, bytes], dict[str, str]]:
        """Take out the names of :attr:`Program.moves`: records of those that others take, and the summary's JSON."""
        items, parts = self._items, {}
        moved = {name: _json(Item(item)) for name, item in items if moves.get(name) == TO_SUMMARY}
        for to in {*moves.values()} - {LEFT_OUT, TO_SUMMARY}:
            self._items = [each for each in items if moves.get(each[0]) == to or each[0] in _IN_EVERY_PART]
            parts[to] = self.encode()
        self._items = [each for each in items if each[0] not in moves]
        return parts, moved

    def set_value(self, name: str, value: object) -> None:
        """Set a name, in each form in which the row holds it; a new name gets a key in the form of the others."""
        text, items = encode(value), self._items
        if all(held != name for held, _ in items):
            plain = any(item[:1] == b"\n" and item[1] for _, item in items)
            items.append((name, (Item(key=name) if plain else Item(nested_key=[name])).encode()))
        self._items = [(held, _with_value(item, text) if held == name else item) for held, item in items]

    def set_step(self, step: int) -> None:
        """Set the row's ``_step``."""
        self._rest.step.num = step
        self.set_value("_step", step)

    def encode(self) -> bytes:
        """Write the record, with the number 0 in the file."""
        items = b"".join([sized(_ITEM, item) for _, item in self._items])
        return b"\x08\0" + sized(Kind.HISTORY, items + self._rest.encode()) + self._around


def encode(value: object) -> str:
    """Write a value as the JSON of W&B's files, whole numbers without a point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value)


def _key_end(item: bytes) -> int:
    """Where the key ends of an item that is a short key and a short JSON value, as nearly all are; 0 for another."""
    if not 4 < len(item) < 0x80:
        return 0
    end = 2 + item[1]
    size = len(item) - end - 3
    return end if size >= 0 and item[0] in b"\n\x12" and item[end : end + 3] == b"\x82\x01%c" % size else 0


def _named(item: bytes) -> tuple[str, bytes]:
    if end := _key_end(item):
        return item[2:end].decode(), item
    parsed = Item(item)
    return name_of(parsed), parsed.encode()


def _with_value(item: bytes, text: str) -> bytes:
    if end := _key_end(item):
        return item[:end] + sized(_VALUE_JSON, text.encode())
    parsed = Item(item)
    for form in ("none", "boolean", "integer", "number", "text", "json"):
        vars(parsed).pop(form, None)
    parsed.value_json = text
    return parsed.encode()


def _json(item: Message) -> str:
    typed = [json.dumps(getattr(item, form)) for form in ("boolean", "integer", "number") if form in item]
    return str(item.value_json or "".join(typed[:1]) or item.json or json.dumps(item.text or None))
