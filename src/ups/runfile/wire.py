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
    "FIXED",
    "FIXED64",
    "GROUP",
    "MARGIN",
    "SIZED",
    "VARINT",
    "Bytes",
    "Fields",
    "Positions",
    "fields_in",
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

_HIGHEST_LAST = {32: 0x0F, 64: 0x7F}  # byte, of the 5 or 10 that a varint can have; a tenth has bits to drop
_VALUE_BITS = 63
FIXED = {FIXED64: 8, _FIXED32: 4}


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
            too_long = byte > _HIGHEST_LAST[bits]
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


def fields_in(message: bytes, at: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Read each field of one message, up to the first bytes that are not a field.

    Yields:
        The field's number, where it begins, where its payload starts (after the size of a sized field), and its end.
    """
    size = len(message)
    while at < size:
        begin = at
        try:
            tag, start = message[at], at + 1
            if tag > 0x7F:
                tag, start = read_varint(message, at, 32)
            wire = tag & 7
            if wire == SIZED:
                at = start + 1 + message[start]
                start += 1
                if message[start - 1] > 0x7F:
                    length, start = read_varint(message, start - 1, 32)
                    at = start + length
            elif wire == VARINT:
                at = start + 1
                if message[start] > 0x7F:
                    _, at = read_varint(message, start)
            elif wire in FIXED:
                at = start + FIXED[wire]
            else:
                return
        except IndexError:
            return
        if tag <= 7 or at > size:
            return
        yield tag >> 3, begin, start, at


def read_varint(message: bytes, at: int, bits: int = 64) -> tuple[int, int]:
    """Read one varint, and the position after it.

    Raises:
        IndexError: It is cut off, or longer than ``bits`` allow.
    """
    value = 0
    for shift in range(0, bits, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if shift + 7 >= bits and byte > _HIGHEST_LAST[bits]:
                break
            return value & (1 << bits) - 1, at
    raise IndexError(at)


def sized(number: int, content: bytes) -> bytes:
    """Write a field of bytes, a text or a message."""
    return varint(number << 3 | SIZED) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Write a number as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
