"""Protobuf's wire format: varints and fields, written and read, and bytes that are neither."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ups.runfile.wire import MARGIN, fields_in, read_fields, read_varints, sized, varint

BEYOND_10_BYTES = [b"\xff" * 9 + b"\x81\x00", b"\xff" * 20 + b"\x01"]


def read_together(messages: list[bytes]) -> tuple[list[int], list[int]]:
    """The varint at the beginning of each message and its length, read at once."""
    start = np.cumsum([0, *map(len, messages)])[:-1]
    buffer = np.frombuffer(b"".join(messages) + bytes(MARGIN), dtype=np.uint8)
    value, after = read_varints(buffer, start)
    return value.tolist(), (after - start).tolist()


@given(st.lists(st.integers(0, 2**63 - 1) | st.integers(0, 300), max_size=20))
def test_varints_are_read_as_they_were_written(numbers: list[int]) -> None:
    """Numbers of any length stand beside each other, and each is read with its bytes."""
    written = [varint(number) for number in numbers]
    assert read_together(written) == (numbers, [len(each) for each in written])
    message = b"".join(b"\x08" + each for each in written)
    ends = np.cumsum([1 + len(each) for each in written]).tolist()
    assert [end for _, _, _, end in fields_in(message)] == ends


def test_varints_are_those_of_protobuf() -> None:
    """The examples of its specification, the bounds of a byte, and a number of 64 bits, of which 63 are kept."""
    assert [varint(number) for number in (0, 1, 127, 128, 150)] == [b"\0", b"\1", b"\x7f", b"\x80\1", b"\x96\1"]
    assert read_together([b"\xff" * 9 + b"\x01", b"\x80" * 9 + b"\x7e", b"\x96\x01"]) == (
        [2**63 - 1, 0, 150],
        [10, 10, 2],
    )


@pytest.mark.parametrize("varint_bytes", BEYOND_10_BYTES)
def test_a_varint_beyond_10_bytes_is_none(varint_bytes: bytes) -> None:
    """Its position is the one before it, so that it cannot be taken for the end of something."""
    assert read_together([b"\x05", varint_bytes, b"\x06"]) == ([5, -1, 6], [1, -1, 1])
    assert list(fields_in(b"\x08" + varint_bytes)) == []


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.binary(max_size=300)), max_size=6))
def test_fields_of_bytes_are_read_as_they_were_written(fields: list[tuple[int, bytes]]) -> None:
    """Each field has its number and its content, behind its size."""
    message = b"".join(sized(number, content) for number, content in fields)
    assert [(number, message[start:end]) for number, _, start, end in fields_in(message)] == fields


def test_every_wire_type_is_passed_by_its_length() -> None:
    """A varint, 8 bytes, a size and 4 bytes: each field begins where the one before ends."""
    message = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1a\x02ab" + b"\x25" + bytes(4)
    assert list(fields_in(message)) == [(1, 0, 1, 3), (2, 3, 4, 12), (3, 12, 14, 16), (4, 16, 17, 21)]


NOT_A_FIELD = {
    "a group": b"\x0b",
    "the end of a group": b"\x0c",
    "an unused type": b"\x0e",
    "another unused type": b"\x0f",
    "number 0": b"\x00\x01",
    "a size beyond the end": b"\x0a\x03ab",
    "number 0 in two bytes": b"\x80\x00\x01",
    "a tag cut off": b"\x88",
    "a tag of more than 32 bits": b"\x88\x80\x80\x80\x10\x00",
    "a tag of more than 5 bytes": b"\x88\x80\x80\x80\x80\x00\x00",
    "a size of more than 5 bytes": b"\x0a\x80\x80\x80\x80\x80\x00",
    "a size cut off": b"\x0a\x80",
    "8 bytes cut off": b"\x09" + bytes(7),
    "4 bytes cut off": b"\x0d" + bytes(3),
    "a varint cut off": b"\x08\x80",
}


@pytest.mark.parametrize("bad", NOT_A_FIELD.values(), ids=NOT_A_FIELD)
def test_reading_stops_before_what_is_no_field(bad: bytes) -> None:
    """Alone and among many messages: the field before it is read, and it is not."""
    assert list(fields_in(sized(1, b"ab") + bad)) == [(1, 0, 2, 4)]
    messages = [sized(2, b"a"), bad, sized(3, b"b")]
    limit = np.cumsum([len(message) for message in messages])
    start = limit - [len(message) for message in messages]
    buffer = np.frombuffer(b"".join(messages) + bytes(MARGIN), dtype=np.uint8)
    assert read_fields(buffer, start, limit).number.tolist() == [2, 0, 3]
