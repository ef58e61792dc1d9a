"""Fields of records that are changed in the bytes: the number of any, and the run id of an artifact's.

The rest of a record stays as it is, byte for byte.
"""

from collections.abc import Callable

from ups.runfile.wire import fields_in, read_varint, sized, varint

__all__ = ["with_number", "with_run_id"]

_NUMBER, _ARTIFACT, _RUN_ID = 1, 8, 1
_NUMBER_TAG = _NUMBER << 3


def with_number(record: bytes, number: int) -> bytes:
    """Give a record its number in the file, from 1."""
    if record[:1] == bytes([_NUMBER_TAG]):
        rest = record[read_varint(record, 1)[1] :]
    else:
        rest = b"".join(record[begin:end] for field, begin, _, end in fields_in(record) if field != _NUMBER)
    return bytes([_NUMBER_TAG]) + varint(number) + rest


def with_run_id(record: bytes, old: str, new: str) -> bytes:
    """Put the run id ``new`` in place of ``old`` in an artifact's record; another record stays as it is."""

    def of_run(artifact: bytes) -> bytes:
        return _with_field(artifact, _RUN_ID, lambda held: new.encode() if held == old.encode() else held)

    return _with_field(record, _ARTIFACT, of_run)


def _with_field(message: bytes, wanted: int, change: Callable[[bytes], bytes]) -> bytes:
    """Change the content of one field; a message that is not all fields stays as it is."""
    changed, at = [], 0
    for number, begin, start, at in fields_in(message):
        changed.append(sized(wanted, change(message[start:at])) if number == wanted else message[begin:at])
    return b"".join(changed) if at == len(message) else message
