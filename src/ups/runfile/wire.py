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
    "MARGIN",
    "Bytes",
    "Fields",
    "Positions",
    "fields_in",
    "read_fields",
    "read_varints",
    "sized",
    "varint",
]

MARGIN = 512
FEW = 64  # messages or fewer: :func:`fields_in` on each of them is quicker

Bytes: TypeAlias = NDArray[np.uint8]
Positions: TypeAlias = NDArray[np.int64]

_VARINT, _FIXED64, _SIZED, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10
_VALUE_BITS = 63
_FIXED = {_FIXED64: 8, _FIXED32: 4}


class Fields(NamedTuple):
    """One field of each message; arrays of shape (messages,).

    ``start`` and ``end`` enclose the payload, without the size of a sized field. The next field begins at ``end``.
    ``number`` is 0 where the bytes are not a field; ``end`` then has no meaning.
    """

    number: Positions
    start: Positions
    end: Positions


def read_varints(buffer: Bytes, at: Positions) -> tuple[Positions, Positions]:
    """Read the varint at each position, and the position after it; the 64th bit is dropped.

    A varint of more than 64 bits is read as -1, and the position is then the one before it.
    """
    byte = buffer[at]
    value = (byte & 0x7F).astype(np.int64)
    after = at + 1
    more = byte > 0x7F
    for shift in range(7, 7 * _VARINT_BYTES, 7):
        if not more.any():
            break
        byte = buffer[after] * more
        after += more
        if shift < _VALUE_BITS:
            value |= (byte & 0x7F).astype(np.int64) << shift
            more = byte > 0x7F
        else:
            too_long = byte > 1
            value[too_long], after[too_long] = -1, at[too_long] - 1
    return value, after


def read_fields(buffer: Bytes, at: Positions, limit: Positions) -> Fields:
    """Read the field that begins at each position; one that would end beyond ``limit`` is not a field."""
    tag, start = read_varints(buffer, at)
    number, wire = tag >> 3, tag & 7
    end = start.copy()
    sized = np.flatnonzero(wire == _SIZED)
    if sized.size == wire.size:
        size, start = read_varints(buffer, start)
        end = start + size
    else:
        size, start[sized] = read_varints(buffer, start[sized])
        end[sized] = start[sized] + size
        plain = np.flatnonzero(wire == _VARINT)
        end[plain] = read_varints(buffer, start[plain])[1]
        end += 8 * (wire == _FIXED64) + 4 * (wire == _FIXED32)
        number[(wire > _FIXED32) | (wire == 3) | (wire == 4)] = 0
    number[(end > limit) | (end < start)] = 0
    return Fields(number, start, end)


def fields_in(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Read each field of one message, up to the first bytes that are not a field.

    Yields:
        The field's number, where it begins, where its payload starts (after the size of a sized field), and its end.
    """
    at, size = 0, len(message)
    while at < size:
        begin = at
        try:
            tag, start = _varint(message, at)
            wire = tag & 7
            if wire == _SIZED:
                length, start = _varint(message, start)
                at = start + length
            elif wire == _VARINT:
                _, at = _varint(message, start)
            elif wire in _FIXED:
                at = start + _FIXED[wire]
            else:
                return
        except IndexError:
            return
        if not tag >> 3 or at > size:
            return
        yield tag >> 3, begin, start, at


def sized(number: int, content: bytes) -> bytes:
    """Write a field of bytes, a text or a message."""
    return varint(number << 3 | _SIZED) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Write a number as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Read one varint, as :func:`read_varints` does.

    Raises:
        IndexError: It is cut off, or has more than 64 bits.
    """
    value = message[at] & 0x7F
    for shift in range(7, 7 * _VARINT_BYTES, 7):
        if message[at] < 0x80:
            break
        at += 1
        if shift < _VALUE_BITS:
            value |= (message[at] & 0x7F) << shift
        elif message[at] > 1:
            raise IndexError(at)
    return value, at + 1
