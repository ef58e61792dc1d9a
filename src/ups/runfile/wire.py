"""Protobuf's wire format, read with NumPy for many messages at once, and field by field for a few.

A message is a sequence of fields: a varint tag (field number × 8 + wire type), then the payload
(https://protobuf.dev/programming-guides/encoding/). The messages lie in one buffer. Each function takes one position
per message and moves all of them by one step. The caller leaves out positions past the end of their messages. The
buffer must have :data:`MARGIN` more bytes after the last message.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FEW",
    "FIXED64",
    "GROUP",
    "MARGIN",
    "SIZED",
    "VARINT",
    "Bytes",
    "Fields",
    "Positions",
    "fields_in",
    "read_field",
    "read_fields",
    "read_varint",
    "read_varints",
    "sized",
    "varint",
]

MARGIN = 512
FEW = 64  # messages or fewer: :func:`fields_in` on each of them is quicker

Bytes: TypeAlias = NDArray[np.uint8]
Positions: TypeAlias = NDArray[np.int64]

VARINT, FIXED64, SIZED, GROUP, _END_GROUP, _FIXED32 = range(6)
"""The wire types."""

_VALUE_BITS = 63
_64_BITS = (1 << 64) - 1
_ONE_BYTE = [bytes([value]) for value in range(0x80)]
_FIXED = {FIXED64: 8, _FIXED32: 4}


class Fields(NamedTuple):
    """One field of each message; arrays of shape (messages,).

    ``start`` and ``end`` enclose the payload, without the size of a sized field. The next field begins at ``end``.
    ``number`` is 0 where the bytes are not a field; ``end`` then has no meaning.
    """

    number: Positions
    start: Positions
    end: Positions


def read_varints(buffer: Bytes, at: Positions, bits: int = 64) -> tuple[Positions, Positions]:
    """Read the varint at each position, and the position after it; the 64th bit is dropped.

    A varint that is longer than ``bits`` allow, 64 or 32, is read as -1, and the position is then the one before it.
    """
    byte = buffer[at]
    value = (byte & 0x7F).astype(np.int64)
    after = at + 1
    more = byte > 0x7F
    for shift in range(7, bits, 7):
        if not more.any():
            break
        byte = buffer[after] * more
        after += more
        if shift < _VALUE_BITS:
            value |= (byte & 0x7F).astype(np.int64) << shift
        more = byte > 0x7F
        if shift + 7 >= bits:
            too_long = byte > (0x0F if bits == 32 else 0x7F)  # the tenth byte has bits to drop
            value[too_long], after[too_long] = -1, at[too_long] - 1
    return value, after


def read_fields(buffer: Bytes, at: Positions, limit: Positions) -> Fields:
    """Read the field that begins at each position; one that would end beyond ``limit`` is not a field."""
    tag, start = read_varints(buffer, at, 32)
    number, wire = tag >> 3, tag & 7
    end = start.copy()
    sized = np.flatnonzero(wire == SIZED)
    if sized.size == wire.size:
        size, start = read_varints(buffer, start, 32)
        end = start + size
    else:
        size, start[sized] = read_varints(buffer, start[sized], 32)
        end[sized] = start[sized] + size
        plain = np.flatnonzero(wire == VARINT)
        end[plain] = read_varints(buffer, start[plain])[1]
        end += 8 * (wire == FIXED64) + 4 * (wire == _FIXED32)
        number[(wire > _FIXED32) | (wire == GROUP) | (wire == _END_GROUP)] = 0
    number[(end > limit) | (end < start)] = 0
    return Fields(number, start, end)


def fields_in(message: bytes, groups: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Read each field of one message, up to the first bytes that are not a field.

    Yields:
        The field's number, where it begins, where its payload starts (after the size of a sized field), and its end.
    """
    at, size = 0, len(message)
    while at < size:
        try:
            tag, start, end = read_field(message, at, groups)
        except IndexError:
            return
        if tag <= 7:
            return
        yield tag >> 3, at, start, end
        at = end


def read_field(message: bytes, at: int, groups: int = 0) -> tuple[int, int, int]:
    """Read the tag of one field, where its payload starts, and where it ends.

    Raises:
        IndexError: No field begins there, it is cut off, or it has more than so many groups in each other.
    """
    tag, start = message[at], at + 1
    if tag > 0x7F:
        tag, start = read_varint(message, at, 32)
    wire = tag & 7
    if wire == SIZED:
        size, start = message[start], start + 1
        if size > 0x7F:
            size, start = read_varint(message, start - 1, 32)
        end = start + size
    elif wire == VARINT:
        _, end = read_varint(message, start)
    elif wire in _FIXED:
        end = start + _FIXED[wire]
    elif wire == GROUP and groups:
        end = start
        while read_varint(message, end, 32)[0] != tag + 1:
            _, _, end = read_field(message, end, groups - 1)
        _, end = read_varint(message, end, 32)
    else:
        raise IndexError(at)
    if end > len(message):
        raise IndexError(end)
    return tag, start, end


def read_varint(message: bytes, at: int, bits: int = 64) -> tuple[int, int]:
    """Read one varint, and the position after it.

    Raises:
        IndexError: It is cut off, or longer than ``bits`` allow.
    """
    value = message[at]
    if value <= 0x7F:
        return value, at + 1
    value &= 0x7F
    for shift in range(7, bits, 7):
        at += 1
        value |= (message[at] & 0x7F) << shift
        if message[at] <= 0x7F:
            if bits == 32 and value >> 32:
                break
            return value & _64_BITS, at + 1
    raise IndexError(at)


def sized(number: int, content: bytes) -> bytes:
    """Write a field of bytes, a text or a message."""
    return varint(number << 3 | SIZED) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Write a number as a varint."""
    if value <= 0x7F:
        return _ONE_BYTE[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
