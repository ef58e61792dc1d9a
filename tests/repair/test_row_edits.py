"""The edits of rows, made on bytes: each row becomes what the same edits make of its parsed message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runfile.test_message import EXAMPLES, WIRE, four_bytes, numbers
from ups.repair.encoded_records import with_number
from ups.repair.program import LEFT_OUT, TO_SUMMARY
from ups.repair.row_edits import EncodedRow, encode
from ups.runfile.items import name_of
from ups.runfile.message import Message
from ups.runfile.records import Item, Record, value_of
from ups.runfile.wire import sized, varint

NAMES = ("loss", "val.loss", "é", "", "_step", "_runtime", "_timestamp", "n" * 130)
FORMS = ("none", "boolean", "integer", "number", "text", "json", "value_json")
Steps = st.integers(0, 300) | st.integers(0, 2**62)
VALUES = st.floats() | st.integers() | st.text(max_size=3) | st.booleans() | st.none()
JSON = st.sampled_from(["", "0", "1.5", "-3", '"é"', "NaN", *("[%s1]" % ("1," * half) for half in (70, 300))])


def padded_sized(number: int, content: bytes, more: int) -> bytes:
    """A sized field whose size has some bytes more than it needs."""
    size = varint(len(content))
    if more:
        size = size[:-1] + bytes([size[-1] | 0x80]) + b"\x80" * (more - 1) + b"\0"
    return varint(number << 3 | 2) + size + content


@st.composite
def items(draw: st.DrawFn) -> bytes:
    """An item: most are a key and a JSON value, some hold more or other fields, in any order."""
    name = draw(st.sampled_from(NAMES))
    keys: list[dict[str, Any]] = [{"key": name}, {"nested_key": [name]}, {"nested_key": name.split(".")}]
    key = draw(st.sampled_from(keys))
    if draw(st.integers(0, 2)):
        return Item(**key, value_json=draw(JSON)).encode()
    typed: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {},
        optional={
            "none": st.just(0),
            "boolean": st.booleans(),
            "integer": st.integers(-(2**63), 2**63 - 1),
            "number": st.floats(),
            "text": st.text(max_size=3),
            "json": JSON,
            "value_json": JSON,
        },
    )
    value = Item(value_json=draw(JSON)).encode()
    parts = [Item(**key).encode(), Item(**draw(typed)).encode(), draw(WIRE), draw(unknown), value]
    return b"".join(draw(st.permutations(parts))[: draw(st.integers(0, 5))])


unknown = st.lists(
    st.builds(lambda field, number: varint(field << 3) + number, st.sampled_from([1, 20]), numbers())
    | st.builds(lambda content: varint(21 << 3 | 5) + content, four_bytes)
    | st.builds(lambda content: varint(22 << 3 | 3) + sized(1, content) + varint(22 << 3 | 4), st.binary(max_size=3))
    | st.builds(sized, st.sampled_from([16, 19, 200]), st.binary(max_size=130)),
    max_size=2,
).map(b"".join)


@st.composite
def rows(draw: st.DrawFn) -> bytes:
    """A history record, with fields that the table does not describe, and sizes that are longer than they need be."""
    item = st.builds(padded_sized, st.just(1), items(), st.integers(0, 2))
    step = st.builds(lambda step, more: sized(2, b"\x08" + varint(step) + more), Steps, unknown) | st.just(
        sized(2, b"")
    )
    content = draw(st.lists(item, max_size=6)) + draw(st.lists(step, max_size=2))
    if draw(st.booleans()):
        content = [*draw(st.permutations(content)), draw(unknown)]
    around = draw(st.sampled_from([b"", b"\x08\x07", b"\x08\x87\x00", b"\x82\x01\x00"]))
    after = draw(st.sampled_from([b"", b"\x08\x07", b"\x82\x01\x00", b"\x9a\x01\x01u\xc2\x0c\x00"]))
    record = around + padded_sized(2, b"".join(content), draw(st.integers(0, 1))) + after
    try:
        Record(record)
    except ValueError:
        assume(False)
    return record


def kept(message: Message, names: Any) -> bytes:
    """The record with the items of some names."""
    copy = Record(message.encode())
    copy.history.item = [item for item in copy.history.item if names(name_of(item))]
    return copy.encode()


def set_in(message: Message, name: str, value: object) -> None:
    """Set a name in the message."""
    history = message.history
    if all(name_of(item) != name for item in history.item):
        history.item.append(Item(key=name) if any(item.key for item in history.item) else Item(nested_key=[name]))
    for item in history.item:
        if name_of(item) == name:
            for form in FORMS:
                vars(item).pop(form, None)
            item.value_json = encode(value)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    rows(),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from([LEFT_OUT, TO_SUMMARY, 3, 4]), max_size=4),
    st.dictionaries(st.sampled_from([*NAMES, "epoch"]), VALUES, max_size=3),
    st.none() | Steps,
)
def test_bytes_are_edited_as_their_message_is(
    record: bytes, moves: Mapping[str, int], new: Mapping[str, object], step: int | None
) -> None:
    """Items that move, that are set and that are added, keys and values of every form; and the step."""
    row, message = EncodedRow(record), Record(record)
    assert with_number(row.encode(), 5) == with_number(message.encode(), 5)
    parts, moved = row.split(moves)
    for to, part in parts.items():
        taken = {name for name, place in moves.items() if place == to}
        expected = kept(message, {*taken, "_timestamp", "_runtime", "_step"}.__contains__)
        assert with_number(part, 5) == with_number(expected, 5)
    assert parts.keys() == set(moves.values()) - {LEFT_OUT, TO_SUMMARY}
    last = {name_of(item): item for item in message.history.item if moves.get(name_of(item)) == TO_SUMMARY}
    assert moved.keys() == last.keys()
    for name, text in moved.items():
        assert repr(value_of(Item(value_json=text))) == repr(value_of(last[name]))
    message = Record(kept(message, lambda name: name not in moves))
    for name, value in new.items():
        row.set_value(name, value)
        set_in(message, name, value)
    if step is not None:
        row.set_step(step)
        message.history.step.num = step
        set_in(message, "_step", step)
    assert with_number(row.encode(), 5) == with_number(message.encode(), 5)


def test_a_new_row_has_keys_as_wandb_writes_them() -> None:
    """A row of the journal begins without a record."""
    row = EncodedRow(b"")
    row.set_value("loss", 0.5)
    row.set_step(7)
    message = Record(row.encode())
    assert message.history.step.num == 7
    assert [(item.nested_key, item.value_json) for item in message.history.item] == [
        (["loss"], "0.5"),
        (["_step"], "7"),
    ]
