"""Items: the names and values in history, summary and configuration records, read many at once.

An item is a key, plain or nested, and a value in one of W&B's encodings. Nearly all are JSON, which is converted a
column at a time. An item of another encoding is parsed by itself.
"""

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ups.runfile.message import Message
from ups.runfile.records import Item, value_of
from ups.runfile.wire import FEW, Bytes, Positions, fields_in, read_fields, read_varints

__all__ = [
    "Form",
    "are_plain",
    "hashes_of",
    "is_nested",
    "items_in",
    "logged_number",
    "name_in",
    "name_of",
    "number_in",
    "numbers",
    "take_apart",
    "value_in",
]

_LONGEST_NUMBER = 40  # characters; a longer one (a huge integer) is converted by itself
_HASHED_AT_ONCE = 1 << 24  # bytes
_PREFIX = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)  # the first bytes of a word
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_NUMBER_WORDS = {
    b"true": 1.0,
    b"false": 0.0,
    b"NaN": np.nan,
    b"Infinity": np.inf,
    b"-Infinity": -np.inf,
    b'"NaN"': np.nan,
    b'"Infinity"': np.inf,
    b'"-Infinity"': -np.inf,
}
_KEY, _NESTED_KEY, _VALUE_JSON = 1, 2, 16  # the fields of an item
_KEY_TAG, _NESTED_KEY_TAG, _VALUE_JSON_TAG = 0x0A, 0x12, (0x82, 0x01)  # as they are written
_ITEM, _STEP = 1, 2  # the fields of a history record
_HIGHEST_STEP = 2**62  # 146 years of nanoseconds, and int64 has room to count further


class Form(IntEnum):
    """The form of a value: a number (NaN and infinities too), or something that a line cannot show."""

    NUMBER = 0
    OTHER = 1


class Items(NamedTuple):
    """The items of some records, those of each record in order.

    Attributes:
        row: The record of each item; int64, shape (items,).
        start, end: Where each item lies; int64, shape (items,).
        steps: The ``_step`` of each record, 0 without one that W&B can have counted; int64, shape (records,).
        stepped: True where the record has the field of a step; bool, shape (records,).
    """

    row: Positions
    start: Positions
    end: Positions
    steps: NDArray[np.int64]
    stepped: NDArray[np.bool_]


def items_in(buffer: Bytes, start: Positions, end: Positions) -> Items:
    """Find every item of the records whose content lies between ``start`` and ``end``, and the records' steps."""
    rows: list[Positions] = []
    starts: list[Positions] = []
    ends: list[Positions] = []
    step_rows: list[Positions] = []
    step_starts: list[Positions] = []
    step_ends: list[Positions] = []
    at = start.copy()
    left = np.flatnonzero(at < end)
    while left.size > FEW:
        found = read_fields(buffer, at[left], end[left])
        item, step = found.number == _ITEM, found.number == _STEP
        rows.append(left[item])
        starts.append(found.start[item])
        ends.append(found.end[item])
        if step.any():
            step_rows.append(left[step])
            step_starts.append(found.start[step])
            step_ends.append(found.end[step])
        at[left] = np.where(found.number > 0, found.end, end[left])
        left = left[at[left] < end[left]]
    for record in left.tolist():
        base = int(at[record])
        fields = np.array(list(fields_in(buffer[base : end[record]].tobytes())), dtype=np.int64).reshape(-1, 4)
        for number, row, low, high in ((_ITEM, rows, starts, ends), (_STEP, step_rows, step_starts, step_ends)):
            found_here = fields[fields[:, 0] == number]
            row.append(np.full(len(found_here), record, dtype=np.int64))
            low.append(base + found_here[:, 2])
            high.append(base + found_here[:, 3])
    steps, stepped = np.zeros(len(start), dtype=np.int64), np.zeros(len(start), dtype=np.bool_)
    stepped_rows = _joined(step_rows)
    stepped[stepped_rows] = True
    inside = read_fields(buffer, _joined(step_starts), _joined(step_ends))
    counted, _ = read_varints(buffer, inside.start)
    counted[(inside.number != 1) | (counted < 0) | (counted > _HIGHEST_STEP)] = 0
    steps[stepped_rows] = counted
    return Items(_joined(rows), _joined(starts), _joined(ends), steps, stepped)


def are_plain(buffer: Bytes, start: Positions, end: Positions) -> NDArray[np.bool_]:
    """Mark the records that hold short items in ASCII and a step, as nearly all do: they are surely messages."""
    items = items_in(buffer, start, end)
    key_end, value_start, value_end = take_apart(buffer, items.start, items.end)
    high = np.flatnonzero(buffer > 0x7F)  # one in each item: of the value's tag
    plain = np.searchsorted(high, items.end) - np.searchsorted(high, items.start) == 1
    plain &= (value_end == items.end) & (value_start - key_end == 3)
    size = items.end - items.start
    filled = np.bincount(items.row, 2 + (size > 0x7F) + size, len(start))
    number = 1 + sum(items.steps >= 1 << bits for bits in range(7, 63, 7))
    step = end - 3 - number
    last = (buffer[step] == 0x12) & (buffer[step + 1] == 1 + number) & (buffer[step + 2] == 0x08)
    last &= buffer[end - 1] < 0x80  # else the number is cut off
    filled += np.where(items.stepped & last, 3 + number, 0)
    whole: NDArray[np.bool_] = (filled == end - start) & (np.bincount(items.row, ~plain, len(start)) == 0)
    return whole


def take_apart(buffer: Bytes, start: Positions, end: Positions) -> tuple[Positions, Positions, Positions]:
    """Return where each item's key fields end, and where its JSON value starts (-1 without one) and ends."""
    # Nearly every item is a short key and a short value in JSON.
    key_size = buffer[start + 1]
    key_end = start + 2 + key_size
    size = end - key_end - 3
    plain = (buffer[start] == _KEY_TAG) | (buffer[start] == _NESTED_KEY_TAG)
    plain &= (key_size < 0x80) & (size >= 0) & (size < 0x80) & (buffer[key_end + 2] == size)
    plain &= (buffer[key_end] == _VALUE_JSON_TAG[0]) & (buffer[key_end + 1] == _VALUE_JSON_TAG[1])
    value_start = np.where(plain, key_end + 3, -1)
    value_end = np.where(plain, end, -1)
    key_end = np.where(plain, key_end, start)
    at = start.copy()
    left = np.flatnonzero(~plain & (at < end))
    while left.size > FEW:
        found = read_fields(buffer, at[left], end[left])
        key = (found.number == _KEY) | (found.number == _NESTED_KEY)
        key_end[left[key]] = found.end[key]
        value = found.number == _VALUE_JSON
        value_start[left[value]], value_end[left[value]] = found.start[value], found.end[value]
        at[left] = np.where(found.number > 0, found.end, end[left])
        left = left[at[left] < end[left]]
    for item in left.tolist():
        base = int(at[item])
        for number, _, low, high in fields_in(buffer[base : end[item]].tobytes()):
            if number in (_KEY, _NESTED_KEY):
                key_end[item] = base + high
            elif number == _VALUE_JSON:
                value_start[item], value_end[item] = base + low, base + high
    return key_end, value_start, value_end


def numbers(buffer: Bytes, start: Positions, end: Positions) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Read the JSON values between ``start`` and ``end`` as numbers, with their forms; a start below 0 has no value."""
    values = np.full(len(start), np.nan)
    forms = np.full(len(start), Form.OTHER, dtype=np.uint8)
    size = end - start
    first = buffer[start]
    digits = ((first >= ord("0")) & (first <= ord("9"))) | ((first == ord("-")) & (buffer[start + 1] != ord("I")))
    plain = np.flatnonzero(digits & (size > 0) & (size <= _LONGEST_NUMBER) & (start >= 0))
    if plain.size:
        width = int(size[plain].max()) + 1
        text = _gather(buffer, start[plain], width)
        text[np.arange(width) >= size[plain][:, None]] = ord(" ")
        text[:, -1] = ord(",")
        read = _read(text.tobytes(), len(plain))
        if read is None:  # one of them is not a number: read each by itself
            plain, read = _each(buffer, start, end, plain)
        values[plain], forms[plain] = read, Form.NUMBER
    rest = np.flatnonzero(~digits & (start >= 0))
    for word, value in _NUMBER_WORDS.items() if rest.size else ():
        same = rest[size[rest] == len(word)]
        for place, letter in enumerate(word):
            same = same[buffer[start[same] + place] == letter]
        values[same], forms[same] = value, Form.NUMBER
    long, read = _each(buffer, start, end, np.flatnonzero(digits & (size > _LONGEST_NUMBER) & (start >= 0)))
    values[long], forms[long] = read, Form.NUMBER
    return values, forms


def _read(text: bytes, count: int) -> NDArray[np.float64] | None:
    """Read the numbers in ``text``, each with a comma after it; None where the text holds anything else."""
    # NumPy before 2.3 stops at anything else and returns the numbers so far: the 0 at the end is then missing.
    try:
        read = np.fromstring(text + b"0", dtype=np.float64, sep=",")
    except ValueError:
        return None
    return read[:-1] if len(read) == count + 1 and text.count(b",") == count else None


def _each(buffer: Bytes, start: Positions, end: Positions, places: Positions) -> tuple[Positions, NDArray[np.float64]]:
    """Return the places that hold a number, and the numbers."""
    texts = (buffer[low:high].tobytes() for low, high in zip(start[places], end[places], strict=True))
    read = [_read(text + b",", 1) for text in texts]
    found = np.array([each is not None for each in read], dtype=np.bool_)
    return places[found], np.concatenate([np.empty(0), *(each for each in read if each is not None)])


def hashes_of(buffer: Bytes, start: Positions, size: Positions) -> NDArray[np.uint64]:
    """Hash ``size`` bytes from each position to 64 bits; ``size`` is below the buffer's margin."""
    at_once = max(1, _HASHED_AT_ONCE // int(size.max(initial=1)))
    parts = [
        _some_hashes(buffer, start[low : low + at_once], size[low : low + at_once])
        for low in range(0, len(start), at_once)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, dtype=np.uint64), *parts])


def _some_hashes(buffer: Bytes, start: Positions, size: Positions) -> NDArray[np.uint64]:
    words = -(-int(size.max(initial=1)) // 8)
    text = _gather(buffer, start, 8 * words).view("<u8")
    hashed = size.astype(np.uint64)
    for place in range(words):
        word = text[:, place] & _PREFIX[np.clip(size - 8 * place, 0, 8)]
        hashed = (hashed ^ word) * _MULTIPLIER
        hashed ^= hashed >> np.uint64(29)
    return hashed


def value_in(item: bytes) -> Any:
    """The value of one item of any encoding; None for bytes that are not an item, as in a damaged file."""
    try:
        return value_of(Item(item))
    except ValueError:
        return None


def number_in(item: bytes) -> tuple[float, int]:
    """The number in one item of any encoding, and its form."""
    value = value_in(item)
    if isinstance(value, int | float):
        try:
            return float(value), Form.NUMBER
        except OverflowError:  # JSON may hold a whole number beyond all floats
            return math.inf if value > 0 else -math.inf, Form.NUMBER
    return np.nan, Form.OTHER


def logged_number(text: bytes) -> int | float:
    """Read a JSON number with all its digits: an int where it has neither a point nor an exponent."""
    try:
        return int(text)
    except ValueError:  # also for more digits than int() takes
        return float(text)


def name_in(raw: bytes) -> str | None:
    """The name in the key fields of one item; None for bytes that are not an item."""
    try:
        return name_of(Item(raw))
    except ValueError:
        return None


def is_nested(raw: bytes) -> bool:
    """True where the item is a value in a dictionary, so that dots join the keys of its name."""
    try:
        return len(Item(raw).nested_key) > 1
    except ValueError:
        return False


def name_of(item: Message) -> str:
    """The name that W&B shows for an item's message: nested keys joined by dots."""
    return ".".join(item.nested_key) or str(item.key)


def _gather(buffer: Bytes, start: Positions, width: int) -> Bytes:
    """Copy ``width`` bytes from each position; shape (positions, width)."""
    windows = np.ndarray((len(buffer) - width + 1,), dtype=f"V{width}", buffer=buffer.data, strides=(1,))
    return windows[start].view(np.uint8).reshape(len(start), width)


def _joined(parts: list[Positions]) -> Positions:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
