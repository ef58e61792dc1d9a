"""Mutated ``.wandb`` files: what no client writes, and no reader may fall over.

A file is taken apart into its records, and some of these are changed in ways that leave each checksum right: such a
file passes every test of its bytes, and lies about all else. Others are damaged in their bytes or their framing.
"""

from __future__ import annotations

import functools
import math
import random
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from runfile.real_runs import wandb_file
from runfile.test_damage import DAMAGE
from ups.runfile.chunks import BLOCK
from ups.runfile.framing import HEADER, FrameReader

SOURCES = (
    "staged", "naive", "every_value", "described", "frozen", "stale", "lagging", "backwards", "ambiguous", "orphan",
    "never_logged", "nothing_to_draw", "not_finite", "not_numeric", "overwritten", "single_point",
)  # fmt: skip

HISTORY, ITEM, STEP = 2, 1, 2
KEY, NESTED_KEY, VALUE_JSON = 1, 2, 16
VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5


class Field(NamedTuple):
    """One field of a message: its number, its wire type, and its payload (of a varint, the number)."""

    number: int
    wire: int
    content: bytes | int


class Mutant(NamedTuple):
    """A mutated file, and the records that it holds as they were."""

    data: bytes
    intact: list[bytes]
    how: str


# The wire format, written down once more: the reader that is tested must not be the one that tests it.


def varint(value: int) -> bytes:
    """A number as a varint; a negative one in two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def fields_of(message: bytes) -> list[Field] | None:
    """The fields of a message; None for bytes that are none."""
    fields, at = [], 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        if tag is None or at is None or not tag >> 3:
            return None
        wire, content = tag & 7, b""
        if wire == VARINT:
            number, at = _read_varint(message, at)
            if number is None:
                return None
            fields.append(Field(tag >> 3, wire, number))
            continue
        if wire == SIZED:
            size, at = _read_varint(message, at)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            return None
        if size is None or at + size > len(message):
            return None
        content = message[at : at + size]
        fields.append(Field(tag >> 3, wire, content))
        at += size
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int | None, int]:
    value = 0
    for place in range(10):
        if at + place >= len(data):
            return None, at
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    return None, at


def message_of(fields: list[Field]) -> bytes:
    """The bytes of a message."""
    out = []
    for number, wire, content in fields:
        out.append(varint(number << 3 | wire))
        if isinstance(content, int):
            out.append(varint(content))
        else:
            out += [varint(len(content))] * (wire == SIZED) + [content]
    return b"".join(out)


def sized(number: int, content: bytes) -> bytes:
    """A sized field."""
    return message_of([Field(number, SIZED, content)])


def framed(records: list[bytes], rng: random.Random | None = None) -> bytes:
    """Records as a file; with ``rng``, a chunk here and there has another kind or length, its checksum right."""
    out, left = bytearray(HEADER), BLOCK - len(HEADER)
    for record in records:
        rest, begun = record, False
        while True:
            if left < 7:
                out += bytes(left)
                left = BLOCK
            part, rest = rest[: left - 7], rest[left - 7 :]
            kind = (4 if begun else 1) if not rest else (3 if begun else 2)
            begun = True
            left -= 7 + len(part)
            if rng is not None and rng.random() < 0.03:
                match rng.randrange(3):
                    case 0:
                        kind = rng.choice((0, 1, 2, 3, 4, 5, 255))
                    case 1:
                        part = part[: rng.randrange(len(part) + 1)]
                    case 2:
                        part += rng.randbytes(rng.randrange(40))
            body = bytes([kind]) + part
            out += struct.pack("<IHB", zlib.crc32(body), len(part) & 0xFFFF, kind) + part
            if not rest:
                break
    return bytes(out)


# What a record may be changed to.

DEEP = 30_000


def hostile_json(rng: random.Random) -> bytes:
    """Text where W&B writes a value as JSON."""
    return rng.choice(HOSTILE_JSON)


HOSTILE_JSON = (
    b"1.0.0", b"1e999", b"-1e999", b"--1", b"-", b"-.", b"1-2", b"1,2", b"1 2", b"1\n2", b" 1", b"1 ", b"+1", b".5",
    b"1.", b"1e", b"0x10", b"0b1", b"1_000", b"01", b"1j", b"1nan", b"1inf", b"12abc", b"1\x00", b"\x001", b"1;2",
    b"9" * 39, b"9" * 41, b"9" * 400, b"9" * 5000, b"-" + b"9" * 400, b"1" * 39 + b"x", b"1" * 60 + b"x",
    b"1." + b"0" * 60 + b".0", b"1e" + b"9" * 100, b"4.9e-324", b"1.7976931348623157e308", b"NaN", b"-NaN", b"nan",
    b"Infinity", b"-Infinity", b"Infinit", b"-In", b"true", b"tru", b"null", b"", b" ", b'"', b'"NaN"', b'"1"',
    b'"\\ud800"', b'"\xff\xfe"', b"\xff", b"\xc3", b'"\xed\xa0\x80"', b'"\x00"', b'"\x1b[31m"',
    b"[" * DEEP + b"]" * DEEP, b"[" * DEEP, b'{"a":' * DEEP + b"1" + b"}" * DEEP, b'{"a":' * 900 + b"1" + b"}" * 900,
    b'{"a":' * 300 + b"1" + b"}" * 300, b"[" * 900 + b"]" * 900, b"[" * 300 + b"]" * 300, b'{"":1}', b'{"a":1,"a":2}',
    b'{"_type":"image-file"}', b'{"_type":"image-file","path":"../../../etc/passwd"}', b'{"_type":5}',
    b'{"_type":["x"]}', b"[1,NaN]", b'{"a":NaN}', b'{"a":1e999}', b"[" + b"1," * 50_000 + b"1]", b'{"a.b":{"c":1}}',
    b'{"\\ud800":1}', b'{"stages":5}', b'{"stages":{"a":1}}', b'{"stages":[{"a":[]},null]}',
)  # fmt: skip

NAMES = (
    b"", b" ", b".", b"/", b"*", b"**", b"_", b"_step", b"_timestamp", b"_runtime", b"_wandb", b"a", b"loss",
    b"training/operator/loss", b"training/operator/step", b"training//step", b"training/*", b"training/operator/*",
    b"/step", b"a.b", b"a..b", b"._type", b"loss._type", b"\x00", b"\n", b"\x1b]0;x\x07", b"`" * 8,
    b"=cmd|' /C calc'!A0", b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", "ünï".encode(), "\u202e".encode(), b"x" * 70_000,
    b"n" * 505, b"n" * 511, b"n" * 600, b"/" * 5000, b"a/" * 3000 + b"b", b"." * 3000,
)  # fmt: skip

NUMBERS = (
    0, 1, 2, 3, 127, 128, 1 << 31, (1 << 31) - 1, 1 << 32, (1 << 53) + 1, (1 << 62), (1 << 63) - 1, 1 << 63,
    (1 << 64) - 1, -1, -2, 1_700_000_000,
)  # fmt: skip


def hostile_item(rng: random.Random) -> bytes:
    """An item with a name or a value, or both, that no client writes."""
    name = rng.choice((b"loss", b"training/operator/loss", b"training/operator/step", b"_timestamp", rng.choice(NAMES)))
    nested = rng.random() < 0.5
    match rng.randrange(8) if nested else 0:
        case 1:
            key = sized(NESTED_KEY, b"a") * rng.choice((2, 100, 1500, DEEP))
        case 2:
            key = sized(NESTED_KEY, name) + sized(NESTED_KEY, rng.choice(NAMES))
        case 3:
            key = sized(KEY, b"other") + sized(NESTED_KEY, name)
        case 4:
            key = sized(NESTED_KEY, b"") * rng.choice((1, 2, 50))
        case _:
            key = sized(NESTED_KEY if nested else KEY, name)
    forms = (
        lambda: sized(VALUE_JSON, hostile_json(rng)),
        lambda: sized(VALUE_JSON, hostile_json(rng)),
        lambda: sized(VALUE_JSON, hostile_json(rng)),
        lambda: message_of([Field(4, VARINT, rng.choice(NUMBERS) & (1 << 64) - 1)]),
        lambda: message_of([Field(5, VARINT, rng.choice(NUMBERS) & (1 << 64) - 1)]),
        lambda: message_of([Field(6, FIXED64, struct.pack("<d", rng.choice((math.nan, math.inf, 1e308, -0.0, 1.5))))]),
        lambda: sized(7, rng.choice(NAMES)),
        lambda: sized(8, hostile_json(rng)),
        lambda: sized(VALUE_JSON, hostile_json(rng)) + sized(8, hostile_json(rng)),
        lambda: b"",
    )
    parts = [key, rng.choice(forms)()]
    if rng.random() < 0.1:
        parts.reverse()
    return b"".join(parts)


def hostile_record(rng: random.Random) -> bytes:
    """A whole record of any kind that UPS reads, made by hand."""
    item = hostile_item(rng)

    def text() -> bytes:
        return rng.choice(NAMES)

    def number() -> int:
        return rng.choice(NUMBERS) & (1 << 64) - 1

    match rng.randrange(8):
        case 0:
            step = sized(STEP, message_of([Field(1, VARINT, number())]))
            stamp = sized(
                ITEM,
                sized(NESTED_KEY, b"_timestamp")
                + sized(VALUE_JSON, rng.choice((b"1e300", b"NaN", b"-1", b'"x"', b"1.7e9"))),
            )
            content = sized(HISTORY, sized(ITEM, item) + step * rng.randrange(3) + stamp * rng.randrange(2))
        case 1:
            content = sized(3, sized(1, item) + sized(2, hostile_item(rng)) * rng.randrange(2))
        case 2:
            content = sized(5, sized(1, item) + sized(2, hostile_item(rng)) * rng.randrange(2))
        case 3:
            options = sized(6, message_of([Field(each, VARINT, rng.randrange(2)) for each in (1, 2, 3)]))
            content = sized(
                12,
                sized(rng.choice((1, 2)), text())
                + sized(4, text())
                + options * rng.randrange(2)
                + sized(9, b"\x08\x01") * rng.randrange(2),
            )
        case 4:
            start = sized(17, message_of([Field(1, VARINT, number()), Field(2, VARINT, number())]))
            content = sized(
                17, sized(1, text()) + sized(8, text()) + sized(10, text()) + start + sized(4, sized(1, item))
            )
        case 5:
            content = sized(18, message_of([Field(1, VARINT, number()), Field(2, VARINT, number())]))
        case 6:
            content = sized(8, sized(1, text()) + message_of([Field(number() & 0xFFFF or 1, SIZED, text())]))
        case _:
            name = rng.choice((b"ups", b"stages"))
            content = sized(5, sized(1, sized(NESTED_KEY, name) + sized(VALUE_JSON, hostile_json(rng))))
    return content if rng.random() < 0.3 else message_of([Field(1, VARINT, number())]) + content


def mutated_message(message: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """A message with one field changed, itself or one below it."""
    fields = fields_of(message)
    if not fields or depth > 6:
        return mutated_bytes(message, rng)
    at = rng.randrange(len(fields))
    number, wire, content = fields[at]
    if isinstance(content, bytes) and wire == SIZED and rng.random() < 0.75:
        if number == VALUE_JSON and rng.random() < 0.8:
            changed = hostile_json(rng)
        elif number in (KEY, NESTED_KEY) and depth > 2 and rng.random() < 0.4:
            changed = rng.choice(NAMES)
        else:
            changed = mutated_message(content, rng, depth + 1)
        fields[at] = Field(number, wire, changed)
        return message_of(fields)
    match rng.randrange(10):
        case 0:
            del fields[at]
        case 1:
            fields[at:at] = [fields[at]] * rng.choice((1, 2, 2000 if len(str(content)) < 100 else 3))
        case 2:
            fields[at] = Field(rng.choice((1, 2, 3, 5, 12, 16, 17, 18, 300, 1 << 20)), wire, content)
        case 3:
            fields[at] = Field(number, VARINT, rng.choice(NUMBERS) & (1 << 64) - 1)
        case 4:
            fields[at] = Field(number, SIZED, rng.choice((*NAMES, hostile_item(rng))))
        case 5:
            fields[at] = Field(number, FIXED64, rng.randbytes(8))
        case 6:
            rng.shuffle(fields)
        case 7:  # a length beyond the end
            whole = message_of(fields[: at + 1])
            size = rng.choice((1 << 31, 1 << 35, (1 << 63) - 1, (1 << 64) - 1, len(message) + 1))
            return whole + varint(number << 3 | SIZED) + varint(size) + message_of(fields[at + 1 :])
        case 8:  # nested in itself
            inner = message
            for _ in range(rng.choice((3, 120, 3000))):
                inner = sized(number, inner)
                if len(inner) > 100_000:
                    break
            return inner
        case 9:  # a number that goes on and on
            return (
                message_of(fields[:at])
                + varint(number << 3)
                + b"\x80" * rng.choice((9, 10, 11, 300))
                + b"\x01"
                + message_of(fields[at:])
            )
    return message_of(fields)


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, put in or taken out."""
    changed = bytearray(data or b"\x00")
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                changed[at:at] = rng.choice((b"\xff", b"\x80", b"\x00", rng.randbytes(3)))
            case 3:
                del changed[at : at + rng.choice((1, 2, 9))]
                changed = changed or bytearray(1)
    return bytes(changed)


# How a file is changed.


def change_records(records: list[bytes], rng: random.Random) -> Mutant:
    """Some records are changed below their checksum."""
    out, intact = list(records), list(records)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(out))
        change = rng.choice((mutated_message, mutated_message, mutated_bytes))
        if out[at] in intact:
            intact.remove(out[at])
        out[at] = change(out[at], rng)
    return Mutant(framed(out), intact, "changed records")


def add_records(records: list[bytes], rng: random.Random) -> Mutant:
    """Records that no client writes stand among the others."""
    out = list(records)
    for _ in range(rng.choice((1, 1, 3, 20))):
        out.insert(rng.randrange(len(out) + 1), hostile_record(rng))
    return Mutant(framed(out), records, "added records")


def reorder(records: list[bytes], rng: random.Random) -> Mutant:
    """Records stand elsewhere, twice, or not at all; some are of another run."""
    out = list(records)
    for _ in range(rng.choice((1, 2, 6))):
        at, size = rng.randrange(len(out)), rng.choice((1, 1, 4, 40))
        match rng.randrange(5):
            case 0:
                part = out[at : at + size]
                del out[at : at + size]
                place = rng.randrange(len(out) + 1)
                out[place:place] = part
            case 1:
                place = rng.randrange(len(out) + 1)
                out[place:place] = out[at : at + size]
            case 2:
                if len(out) > size:
                    del out[at : at + size]
            case 3:
                out.reverse()
            case 4:
                other = records_of(rng.choice(SOURCES))
                start = rng.randrange(len(other))
                out[at:at] = other[start : start + size]
        out = out or list(records)
    return Mutant(framed(out), list((Counter(records) & Counter(out)).elements()), "reordered records")


def change_framing(records: list[bytes], rng: random.Random) -> Mutant:
    """Chunks have another kind or length, their checksum right."""
    return Mutant(framed(records, rng), [], "changed framing")


def damage_bytes(records: list[bytes], rng: random.Random) -> Mutant:
    """Bytes are damaged, and the checksums are not made right."""
    how = rng.choice(DAMAGE)
    data = framed(records)
    data = data if len(data) > 8 else data * 8
    return Mutant(how(data, rng, framed(records_of(rng.choice(SOURCES)))).data, [], f"damaged bytes: {how.__name__}")


MUTATIONS = (
    change_records, change_records, change_records, add_records, add_records, reorder, change_framing, damage_bytes,
)  # fmt: skip


@functools.cache
def records_of(name: str) -> list[bytes]:
    """The records of a real file; of a long one the first and the last."""
    records = [record for batch in FrameReader(wandb_file(name)) for record in batch.records()]
    return records if len(records) < 150 else [*records[:100], *records[-50:]]


def mutant(seed: int) -> Mutant:
    """The mutated file of a seed."""
    rng = random.Random(seed)
    records = records_of(rng.choice(SOURCES))
    return MUTATIONS[seed % len(MUTATIONS)](records, rng)


def write_case(case: Mutant, seed: int, folder: Path) -> Path:
    """Write the file; every fifth as one of two segments of a UPS run, whose rows are told apart by their step."""
    if seed % 5:
        file = folder / "run-mutant.wandb"
        file.write_bytes(case.data)
        return file
    rng = random.Random(-seed)
    home = folder / "run"
    other = framed(records_of(rng.choice(SOURCES)))
    files = [case.data, other]
    rng.shuffle(files)
    for second, data in enumerate(files):
        segment = home / "wandb" / f"offline-run-20260101_00000{second}-mutant"
        segment.mkdir(parents=True)
        (segment / "run-mutant.wandb").write_bytes(data)
    (home / "run.json").write_text('{"format": 1, "run_id": "mutant", "stages": ["operator", "refine"]}')
    return home
