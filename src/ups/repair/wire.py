"""Fields of records that are changed in the bytes: the number of any, and the run id of an artifact's.

The rest of a record stays as it is, byte for byte.
"""

from collections.abc import Iterator

__all__ = ["with_number", "with_run_id"]

_NUMBER, _ARTIFACT, _RUN_ID = 1, 8, 1
_NUMBER_TAG = _NUMBER << 3
_VARINT, _FIXED64, _SIZED, _FIXED32 = 0, 1, 2, 5
_SIZE = {_FIXED64: 8, _FIXED32: 4}


def with_number(record: bytes, number: int) -> bytes:
    """A record as the file's ``number``-th, from 1."""
    if record[:1] == bytes([_NUMBER_TAG]):
        rest = record[_varint(record, 1)[1] :]
    else:
        rest = b"".join(whole for field, whole, _ in _fields(record) if field != _NUMBER)
    return bytes([_NUMBER_TAG]) + _written(number) + rest


def with_run_id(record: bytes, old: str, new: str) -> bytes:
    """An artifact's record with ``new`` where it names the run ``old``; as it is where it is no such record."""
    try:
        return b"".join(
            _sized(_ARTIFACT, b"".join(_artifact_field(field, old, new) for field in _fields(field[2])))
            if field[0] == _ARTIFACT
            else field[1]
            for field in _fields(record)
        )
    except (IndexError, KeyError):  # not protobuf after all
        return record


def _artifact_field(field: tuple[int, bytes, bytes], old: str, new: str) -> bytes:
    number, whole, content = field
    return _sized(_RUN_ID, new.encode()) if number == _RUN_ID and content == old.encode() else whole


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The number, the bytes and the content (of a sized field) of each field."""
    at = 0
    while at < len(message):
        tag, after = _varint(message, at)
        content = b""
        wire = tag & 7
        if wire == _VARINT:
            _, after = _varint(message, after)
        elif wire == _SIZED:
            size, start = _varint(message, after)
            after = start + size
            content = message[start:after]
        else:
            after += _SIZE[wire]
        yield tag >> 3, message[at:after], content
        at = after


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _sized(number: int, content: bytes) -> bytes:
    return _written(number << 3 | _SIZED) + _written(len(content)) + content


def _written(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
