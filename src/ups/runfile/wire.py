"""Protobuf's wire format, read for many messages at once with NumPy.

A message is a sequence of fields: a varint tag (field number × 8 + wire type), then the payload
(https://protobuf.dev/programming-guides/encoding/). The messages here lie in one buffer; each function takes
one position in it for every message and moves all of them by one step. A position past the end of its message
is the caller's to leave out. The buffer must go on for :data:`MARGIN` bytes after the last message.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["MARGIN", "Bytes", "Fields", "Positions", "read_fields", "read_varints"]

MARGIN = 512

Bytes: TypeAlias = NDArray[np.uint8]
Positions: TypeAlias = NDArray[np.int64]

_VARINT, _FIXED64, _SIZED, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10
_VALUE_BITS = 63


class Fields(NamedTuple):
    """One field of each message; arrays of shape (messages,).

    ``start`` and ``end`` enclose the payload (of a sized field without its size), and the next field begins
    at ``end``. ``number`` is 0 where the bytes are no field; ``end`` then tells nothing.
    """

    number: Positions
    start: Positions
    end: Positions


def read_varints(buffer: Bytes, at: Positions) -> tuple[Positions, Positions]:
    """The varint at each position, and the position after it. Bits above the 63rd are dropped."""
    byte = buffer[at]
    value = (byte & 0x7F).astype(np.int64)
    after = at + 1
    more = byte > 0x7F
    for shift in range(7, 7 * _VARINT_BYTES, 7):
        if not more.any():
            break
        byte = buffer[after] * more
        if shift < _VALUE_BITS:
            value |= (byte & 0x7F).astype(np.int64) << shift
        after += more
        more = byte > 0x7F
    return value, after


def read_fields(buffer: Bytes, at: Positions, limit: Positions) -> Fields:
    """The field that begins at each position; it is no field if it would go beyond ``limit``."""
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
