"""Protobuf messages as objects, by a table of their fields.

They are read and written as Google's library does it (https://protobuf.dev/programming-guides/encoding/).
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from ups.runfile.wire import FIXED64, GROUP, SIZED, VARINT, fields_in, read_varint, varint

__all__ = ["Message", "message_classes"]

_DEEPEST = 100  # messages and groups in each other
_64_BITS = (1 << 64) - 1


class _Kind(NamedTuple):
    """A type of field. ``read`` is given the content, of a varint the number; ``write`` returns it."""

    wire: int
    default: Any
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


class _Field(NamedTuple):
    """A described field; ``message`` is the class of its value if that is a message."""

    name: str
    tag: bytes
    is_repeated: bool
    kind: _Kind
    message: "type[Message] | None"


class Message:
    """A message, whose fields are its attributes.

    An absent field reads as its default. Where that is a list or a message, it can be filled; while it is empty, it is
    not written. ``name in message`` is true for a field that is present. Fields that the table does not describe are
    kept as they are, and written behind the others.

    Args:
        data: The encoded message.
        fields: Fields to set.

    Raises:
        ValueError: ``data`` is not such a message.
    """

    _by_tag: ClassVar[dict[int, _Field]]
    _by_name: ClassVar[dict[str, _Field]]

    def __init__(self, data: bytes | None = None, **fields: object) -> None:
        if data is not None:
            self._merge(data, _DEEPEST)
        for name, value in fields.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        field = self._by_name.get(name)
        if field is None:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        value = vars(self)[name] = [] if field.is_repeated or field.message is None else field.message()
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._by_name:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        vars(self)[name] = value

    def __contains__(self, name: str) -> bool:
        return name in vars(self)

    def clear(self, name: str) -> None:
        """Make a field absent."""
        vars(self).pop(name, None)

    def encode(self) -> bytes:
        """Write the message."""
        held = vars(self)
        out = []
        for name, field in self._by_name.items():
            if name not in held:
                continue
            for value in held[name] if field.is_repeated else (held[name],):
                content = field.kind.write(value)
                if field.kind.wire == VARINT:
                    content = varint(content & _64_BITS)
                elif field.kind.wire == SIZED:
                    content = varint(len(content)) + content
                # A message that was only looked at is empty, and was not read from anything.
                if field.message is None or field.is_repeated or content != b"\0" or "_others" in vars(value):
                    out += [field.tag, content]
        return b"".join([*out, *held.get("_others", ())])

    def _merge(self, data: bytes, deepest: int) -> None:
        """Add the fields of an encoded message. One that is there already replaces the earlier one."""
        if deepest < 0:
            raise ValueError("the message holds too many messages in each other")
        by_tag, held = self._by_tag, vars(self)
        others: list[bytes] = held.setdefault("_others", [])
        at, size = 0, len(data)
        while at < size:
            for number, begin, start, end in fields_in(data, at):
                at = end
                field = by_tag.get(number << 3 | data[begin] & 7)
                if field is None:
                    others.append(data[begin:end])
                    continue
                name, _, is_repeated, kind, message = field
                if message is not None:
                    value = message() if is_repeated else getattr(self, name)
                    value._merge(data[start:end], deepest - 1)
                else:
                    value = kind.read(read_varint(data, start)[0] if kind.wire == VARINT else data[start:end])
                if is_repeated:
                    getattr(self, name).append(value)
                else:
                    held[name] = value
            if at < size:
                begin, at = at, _end_of_group(data, at, deepest)
                others.append(data[begin:at])


def message_classes(table: Mapping[str, str]) -> dict[str, type[Message]]:
    """Make a class for each message.

    Args:
        table: Message → its fields: name, number, type. A capitalised type is a message; "*" means a list of messages
            or texts.
    """
    classes: dict[str, Any] = {name: type(name, (Message,), {"_by_tag": {}, "_by_name": {}}) for name in table}
    for name, fields in table.items():
        for described in fields.split(", "):
            attribute, number, type_ = described.split()
            base = type_.rstrip("*")
            kind = _KINDS.get(base, _MESSAGE)
            tag = int(number) << 3 | kind.wire
            field = _Field(attribute, varint(tag), type_ != base, kind, classes.get(base))
            classes[name]._by_tag[tag] = classes[name]._by_name[attribute] = field
            if type_ in _KINDS:
                setattr(classes[name], attribute, kind.default)
    return classes


def _end_of_group(data: bytes, at: int, deepest: int) -> int:
    """Find the end of the group that begins at ``at``.

    Raises:
        ValueError: No group begins there, or it does not end.
    """
    try:
        tag, inner = read_varint(data, at, 32)
        if tag & 7 != GROUP or tag <= 7 or deepest < 1:
            raise ValueError(f"no field begins at byte {at} of the message")
        while True:
            for *_, end in fields_in(data, inner):
                inner = end
            last, after = read_varint(data, inner, 32)
            if last == tag + 1:
                return after
            inner = _end_of_group(data, inner, deepest - 1)
    except IndexError:
        raise ValueError("the message is cut off") from None


_DOUBLE = struct.Struct("<d")
_KINDS = {
    "bool": _Kind(VARINT, False, bool, int),
    "int32": _Kind(VARINT, 0, lambda number: (number + 2**31) % 2**32 - 2**31, int),
    "int64": _Kind(VARINT, 0, lambda number: (number + 2**63) % 2**64 - 2**63, int),
    "sint64": _Kind(VARINT, 0, lambda number: number >> 1 ^ -(number & 1), lambda value: value << 1 ^ value >> 63),
    "double": _Kind(FIXED64, 0.0, lambda content: _DOUBLE.unpack(content)[0], _DOUBLE.pack),
    "string": _Kind(SIZED, "", bytes.decode, str.encode),
}
_MESSAGE = _Kind(SIZED, None, bytes, Message.encode)
