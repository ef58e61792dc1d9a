"""Protobuf messages: our reader and writer against Google's own, message by message and byte by byte."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Googles
from hypothesis import given, settings
from hypothesis import strategies as st

from runfile.real_runs import VERSIONS, wandb_file
from ups.runfile import records
from ups.runfile.framing import FrameReader
from ups.runfile.items import are_plain
from ups.runfile.message import Message
from ups.runfile.records import Kind, Record, find_payloads
from ups.runfile.wire import MARGIN, sized, varint

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "800")) // 4
TABLE = records._MESSAGES
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "sint64": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=200) | st.text("ab", min_size=120, max_size=300),
}


def fields_of(name: str) -> list[tuple[str, int, str, bool]]:
    """The fields of a message: name, number, type, and whether it is repeated."""
    described = [field.split() for field in TABLE[name].split(", ")]
    return [(field, int(number), kind.rstrip("*"), kind.endswith("*")) for field, number, kind in described]


def googles_classes() -> dict[str, type[Googles]]:
    """Google's classes of the same messages; every scalar has a presence of its own."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="test_message.proto", package="test_message", syntax="proto3")
    for name in TABLE:
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields_of(name):
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            described = message.field.add(name=field, number=number, label=label)
            if kind in TABLE:
                described.type, described.type_name = kinds.TYPE_MESSAGE, f".test_message.{kind}"
            else:
                described.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
                if not repeated:
                    described.proto3_optional, described.oneof_index = True, len(message.oneof_decl)
                    message.oneof_decl.add(name=f"_{field}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test_message.{name}")) for name in TABLE}


GOOGLES = googles_classes()
Value = dict[str, Any]


def value_of(message: Any, name: str) -> Value:
    """The fields that are present, of our message or of Google's."""
    held: Value = {}
    for field, _, kind, repeated in fields_of(name):
        if repeated:
            present = bool(getattr(message, field))
        else:
            present = field in message if isinstance(message, Message) else message.HasField(field)
        if present:
            values = getattr(message, field)
            each = [value_of(one, kind) if kind in TABLE else one for one in (values if repeated else [values])]
            held[field] = each if repeated else each[0]
    return held


def read_by_google(data: bytes) -> Any:
    """Google's message; None where it refuses the bytes."""
    message = GOOGLES["Record"]()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return None
    return message


REFUSES_ZERO = read_by_google(b"\x0b\x00\x00\x0c") is None
"""Whether Google refuses the field number 0 within a group too: that of protobuf 6 does, and 7 reads it, as we do."""


def assert_alike(data: bytes) -> bool:
    """Both read the same or refuse, and what we write again is the same to Google; True where it is read."""
    theirs = read_by_google(data)
    try:
        ours = Record(data)
    except ValueError:
        assert theirs is None, "only we refuse it"
        return False
    if theirs is None and REFUSES_ZERO:
        return False
    assert theirs is not None, "only Google refuses it"
    assert repr(value_of(ours, "Record")) == repr(value_of(theirs, "Record"))
    assert read_by_google(ours.encode()) == theirs
    assert ours.encode() == Record(ours.encode()).encode()
    return True


def filled(make: Any, name: str, value: Value) -> Any:
    """A message of either library with these fields."""
    message = make[name]() if make is GOOGLES else make[name](b"")  # read from bytes, so it is there though empty
    for field, _, kind, repeated in fields_of(name):
        if field not in value:
            continue
        given = value[field]
        if kind not in TABLE:
            setattr(message, field, given) if not repeated else getattr(message, field).extend(given)
        elif make is GOOGLES:
            for each in given if repeated else [given]:
                inner = getattr(message, field).add() if repeated else getattr(message, field)
                inner.SetInParent()
                inner.MergeFrom(filled(make, kind, each))
        else:
            inner = [filled(make, kind, each) for each in (given if repeated else [given])]
            setattr(message, field, inner if repeated else inner[0])
    return message


def values(name: str) -> st.SearchStrategy[Value]:
    """The fields of a message, some of them."""
    optional = {}
    for field, _, kind, repeated in fields_of(name):
        one = values(kind) if kind in TABLE else SCALARS[kind]
        optional[field] = st.lists(one, min_size=1, max_size=3) if repeated else one
    return st.fixed_dictionaries({}, optional=optional)


def numbers() -> st.SearchStrategy[bytes]:
    """Varints as they are written, with more bytes than they need, and of any bytes."""

    def padded(value: bytes, more: int) -> bytes:
        return value[:-1] + bytes([value[-1] | 0x80]) + b"\x80" * more + b"\0"

    plain = (st.integers(0, 2**64 - 1) | st.integers(0, 2**34) | st.integers(0, 300)).map(varint)
    return plain | st.builds(padded, plain, st.integers(0, 8)) | st.binary(min_size=9, max_size=11)


def tagged(wire: int, content: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """A field of some number, its content and nothing else."""
    return st.builds(lambda number, content: varint(number << 3 | wire) + content, NUMBERS, content)


def fields(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Some fields, right or nearly: each wire type, contents within contents, groups that end as they began or not."""
    group = st.builds(lambda n, content: varint(n << 3 | 3) + content + varint(n << 3 | 4), NUMBERS, inner)
    right = tagged(0, numbers()) | tagged(1, eight_bytes) | tagged(5, four_bytes) | st.builds(sized, NUMBERS, inner)
    other = tagged(3, inner) | tagged(4, inner) | tagged(6, inner) | st.builds(bytes.__add__, numbers(), inner)
    return st.lists(right | group | other, max_size=5).map(b"".join)


NUMBERS = st.sampled_from([0, 1, 2, 3, 5, 12, 15, 16, 17, 18, 2**29 - 1, 2**29]) | st.integers(1, 30)
eight_bytes, four_bytes = st.binary(min_size=8, max_size=8), st.binary(min_size=4, max_size=4)
WIRE = st.recursive(st.binary(max_size=12), fields, max_leaves=12)


@settings(max_examples=EXAMPLES, deadline=None)
@given(values("Record"))
def test_messages_are_written_and_read_as_google_does(value: Value) -> None:
    """Each field is in the bytes, also where it is the default; a message without a field, too."""
    ours, theirs = filled(records._CLASSES, "Record", value), filled(GOOGLES, "Record", value)
    assert read_by_google(ours.encode()) == theirs
    assert repr(value_of(Record(theirs.SerializeToString()), "Record")) == repr(value_of(theirs, "Record"))
    assert assert_alike(ours.encode())


@settings(max_examples=EXAMPLES, deadline=None)
@given(values("Record"), st.data())
def test_a_message_with_changed_bytes_is_read_or_refused_as_by_google(value: Value, data: st.DataObject) -> None:
    """Bytes are changed, put in, taken out, and the end is cut off."""
    message = bytearray(filled(GOOGLES, "Record", value).SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(message)))
        message[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2) | WIRE)
    assert_alike(bytes(message))


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(WIRE)
def test_any_bytes_are_read_or_refused_as_by_google(data: bytes) -> None:
    """Fields of every kind at every place, groups too, and what is no field."""
    assert_alike(data)


def in_each_other(depth: int, field: int = 3) -> bytes:
    """A group within a group, and so on."""
    return varint(field << 3 | 3) * depth + varint(field << 3 | 4) * depth


@pytest.mark.parametrize("around", [0, 2, 17], ids=["alone", "in a history", "in a run"])
@pytest.mark.parametrize("depth", [1, 98, 99, 100, 101, 5000])
def test_groups_are_nested_as_deep_as_google_lets_them(depth: int, around: int) -> None:
    """100 levels, those of messages among them."""
    message = in_each_other(depth, 9)
    assert assert_alike(sized(around, message) if around else message) is (depth <= 100 - bool(around))


@pytest.mark.parametrize("version", VERSIONS)
def test_real_records_are_read_as_by_google(version: str) -> None:
    """Of the oldest and the newest client; most hold fields that the table does not describe."""
    for name in ("staged", "every_value"):
        for batch in FrameReader(wandb_file(name, version)):
            assert all(map(assert_alike, batch.records()))


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(st.lists(st.binary(max_size=2) | WIRE, min_size=10, max_size=10), st.randoms(use_true_random=True))
def test_a_record_that_is_marked_plain_is_a_message(pieces: list[bytes], random: Random) -> None:
    """Whatever its bytes are; and of real ones, nearly all are marked."""
    batch = next(iter(FrameReader(wandb_file("staged"))))
    payloads = find_payloads(batch)
    places = np.flatnonzero(np.isin(payloads.kind, (Kind.HISTORY, Kind.SUMMARY)))[:100]
    real = [batch.data[payloads.start[at] : payloads.end[at]] for at in places.tolist()]
    changed = [bytearray(content) for content in real]
    for other in changed:
        at = random.randrange(len(other))
        other[at : at + random.randint(0, 2)] = random.choice(pieces)
    contents = [*real, *map(bytes, changed)]
    end = np.cumsum([len(content) for content in contents])
    buffer = np.frombuffer(b"".join(contents) + bytes(MARGIN), dtype=np.uint8)
    plain = are_plain(buffer, np.append(0, end[:-1]), end).tolist()
    assert sum(plain[:100]) >= 95
    for is_plain, content in zip(plain[100:], contents[100:], strict=True):
        assert not is_plain or assert_alike(sized(Kind.HISTORY, content))


def test_what_is_only_looked_at_is_not_written() -> None:
    """An absent list or message can be filled; while it is empty, it is not there."""
    message = Record()
    assert (message.run.start_time.seconds, message.run.tags, message.num) == (0, [], 0)
    assert message.encode() == b""
    message.history.step.num = 0
    assert read_by_google(message.encode()).history.HasField("step")


def test_a_field_that_no_message_has_is_an_error() -> None:
    """Read or set: a slip of the pen is found."""
    for act in (lambda: Record().histroy, lambda: setattr(Record(), "histroy", 1), lambda: Record(histroy=1)):
        with pytest.raises(AttributeError, match="histroy"):
            act()
