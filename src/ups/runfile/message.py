"""Protobuf messages as objects, by a table of their fields.

They are read and written as Google's library does it (https://protobuf.dev/programming-guides/encoding/).
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from ups.runfile.wire import FIXED64, SIZED, VARINT, read_field, read_varint, sized, varint

__all__ = ["Message", "message_classes"]

_DEEPEST = 100  # messages and groups in each other
_DOUBLE = struct.Struct("<d")
_KINDS: dict[str, tuple[int, Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    # wire type, default, and how the number of a varint or the bytes of another field are read and written
    "bool": (VARINT, False, bool, int),
    "int32": (VARINT, 0, lambda number: (number + 2**31) % 2**32 - 2**31, int),
    "int64": (VARINT, 0, lambda number: (number + 2**63) % 2**64 - 2**63, int),
    "sint64": (VARINT, 0, lambda number: number >> 1 ^ -(number & 1), lambda value: value << 1 ^ value >> 63),
    "double": (FIXED64, 0.0, lambda content: _DOUBLE.unpack(content)[0], _DOUBLE.pack),
    "string": (SIZED, "", bytes.decode, str.encode),
}


class _Field(NamedTuple):
    """A described field. ``message`` is the class of its value if that is a message."""

    name: str
    number: int
    wire: int
    is_repeated: bool
    message: "type[Message] | None"
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


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
            _merge(self, data, _DEEPEST)
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

    def encode(self) -> bytes:
        """Write the message."""
        held = vars(self)
        out = []
        for name, number, wire, is_repeated, message, _, write in self._by_name.values():
            if name not in held:
                continue
            for value in held[name] if is_repeated else (held[name],):
                content = write(value)
                if wire == VARINT:
                    out.append(varint(number << 3) + varint(content & (1 << 64) - 1))
                elif wire == FIXED64:
                    out.append(varint(number << 3 | FIXED64) + content)
                elif content or is_repeated or not message or "_others" in vars(value):  # else it was only looked at
                    out.append(sized(number, content))
        return b"".join([*out, *held.get("_others", ())])


def message_classes(table: Mapping[str, str]) -> dict[str, type[Message]]:
    """Make a class for each message.

    Args:
        table: Message → its fields: name, number, type. A capitalised type is a message; "*" means a list of messages
            or texts.
    """
    classes: dict[str, Any] = {name: type(name, (Message,), {"_by_tag": {}, "_by_name": {}}) for name in table}
    for name, fields in table.items():
        for described in fields.split(", "):
            attribute, number, kind = described.split()
            base = kind.rstrip("*")
            wire, default, read, write = _KINDS.get(base, (SIZED, None, bytes, Message.encode))
            field = _Field(attribute, int(number), wire, kind != base, classes.get(base), read, write)
            classes[name]._by_tag[field.number << 3 | wire] = classes[name]._by_name[attribute] = field
            if kind in _KINDS:
                setattr(classes[name], attribute, default)
    return classes


def _merge(message: Message, data: bytes, deepest: int) -> None:
    """Add the fields of an encoded message: a value replaces an earlier one, a message joins it, a list grows."""
    if deepest < 0:
        raise ValueError("the message holds too many messages in each other")
    by_tag, held = message._by_tag, vars(message)
    others: list[bytes] = held.setdefault("_others", [])
    end, size = 0, len(data)
    while end < size:
        begin = end
        try:
            tag, start, end = read_field(data, begin, deepest)
        except IndexError:
            raise ValueError(f"no whole field begins at byte {begin} of the message") from None
        field = by_tag.get(tag)
        if field is None:
            if tag <= 7:
                raise ValueError("no field has the number 0")
            others.append(data[begin:end])
            continue
        name, _, wire, is_repeated, inner, read, _ = field
        if inner is None:
            value = read(read_varint(data, start)[0] if wire == VARINT else data[start:end])
        else:
            value = inner() if is_repeated or name not in held else held[name]
            _merge(value, data[start:end], deepest - 1)
        if is_repeated:
            held.setdefault(name, []).append(value)
        else:
            held[name] = value
