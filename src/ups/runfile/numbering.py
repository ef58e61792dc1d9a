"""The numbers of a file's records: wandb counts them from 1, without a gap.

So the numbers show whole records that were cut out or repeated, though every checksum is right.
"""

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ups.charts import DEFAULT_AXIS
from ups.runfile.chunks import BLOCK, CHUNK_HEAD
from ups.runfile.framing import Batch, Damage, FrameReader
from ups.runfile.records import Kind, Payloads, Record, find_payloads, path_of, value_of

__all__ = ["Numbering"]

_SUM_BITS = 32


class Numbering:
    """The record numbers of one file, batch by batch. It is read a second time, up to where a number comes back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._highest = 0
        self._last = 0
        self._gaps: list[tuple[int, int, int]] = []  # place of the record after it, first and last number missing
        self._repeated: list[tuple[int, int]] = []
        self._unreadable: list[Damage] = []
        self._known: set[int] | None = None  # number and checksum of every record, once a number has come back

    def fresh(self, batch: Batch, payloads: Payloads) -> NDArray[np.bool_]:
        """Mark the records of the next batch that are neither copies of earlier ones nor made of two halves.

        Returns:
            bool, shape (records,).
        """
        numbers = payloads.number
        halves = _halves(batch, payloads) if numbers.any() else []
        for index in [*np.flatnonzero(payloads.kind == Kind.UNREADABLE).tolist(), *halves]:
            at, length = int(batch.offsets[index]), int(batch.lengths[index])
            heads = 1 + (at + length) // BLOCK - at // BLOCK
            self._unreadable.append(Damage(at, heads * CHUNK_HEAD + length))
        fresh = np.ones(len(numbers), dtype=bool)
        if not numbers.any():
            return fresh  # the file has no numbers
        before = np.maximum.accumulate(np.concatenate([[self._highest], numbers[:-1]]))
        back = numbers <= before
        for index in np.flatnonzero(numbers > before + 1).tolist():
            self._gaps.append((int(batch.offsets[index]), int(before[index]) + 1, int(numbers[index]) - 1))
        if self._known is None and back.any():
            self._known = _known_before(self._path, int(batch.offsets[0]))
        if self._known is not None:
            for index, (number, record) in enumerate(zip(numbers.tolist(), batch.records(), strict=True)):
                identity = _identity(number, record)
                fresh[index] = identity not in self._known
                self._known.add(identity)
                if not fresh[index]:
                    at = int(batch.offsets[index])
                    self._repeated.append((at, at + int(batch.lengths[index])))
        fresh[halves] = False
        self._highest = max(int(before[-1]), int(numbers[-1]))
        self._last = int(numbers[-1])
        return fresh

    def damage(self, unreadable: list[Damage]) -> list[Damage]:
        """List all damage: the unreadable ranges with the count of records missing there, then gaps and copies."""
        unreadable = sorted([*unreadable, *self._unreadable], key=lambda each: each.offset)
        # Sorted here, for np.unique loads numpy.ma, which takes longer than reading a small run.
        known = np.array(sorted({identity >> _SUM_BITS for identity in self._known or ()}), dtype=np.int64)
        ends = np.maximum.accumulate(np.array([0, *(each.end for each in unreadable)], dtype=np.int64))
        missing: dict[int, int] = {}
        for at, low, high in self._gaps:
            high = min(high, self._last)
            count = high + 1 - low - int(np.diff(np.searchsorted(known, (low, max(low, high + 1))))[0])
            if count > 0:
                before = int(ends[np.searchsorted(ends, at, side="right") - 1])
                place = before if before and at - before < CHUNK_HEAD else at
                missing[place] = missing.get(place, 0) + count
        found = [Damage(each.offset, each.length, missing.pop(each.end, 0)) for each in unreadable]
        found += [Damage(at, 0, count) for at, count in missing.items()]
        if self._repeated:
            low, high = self._repeated[0][0], self._repeated[-1][1]
            found.append(Damage(low, high - low, repeated=len(self._repeated)))
        return sorted(found, key=lambda each: each.offset)


def _halves(batch: Batch, payloads: Payloads) -> list[int]:
    """Find the rows of two halves, which meet where blocks are gone between them.

    Such a row continues in another block, its number is not followed by the next, and it makes no sense.
    """
    ends = batch.offsets + CHUNK_HEAD + batch.lengths
    breaks = np.append(np.diff(payloads.number) != 1, False)
    suspects = breaks & (payloads.kind == Kind.HISTORY) & (batch.offsets // BLOCK != (ends - 1) // BLOCK)
    return [index for index in np.flatnonzero(suspects).tolist() if not _makes_sense(batch.record(index))]


def _makes_sense(row: bytes) -> bool:
    """True where a row can be read, and its step is also the one among its values."""
    try:
        history = Record(row).history
    except ValueError:
        return False
    steps = (value_of(item) for item in history.item if path_of(item) == (DEFAULT_AXIS,))
    return all(step == history.step.num for step in steps)


def _known_before(path: Path, end: int) -> set[int]:
    """Read the numbers and checksums of the records that begin before ``end``."""
    known: set[int] = set()
    for batch in FrameReader(path):
        for number, record, at in zip(
            find_payloads(batch).number.tolist(), batch.records(), batch.offsets.tolist(), strict=True
        ):
            if at >= end:
                return known
            known.add(_identity(number, record))
    return known


def _identity(number: int, record: bytes) -> int:
    """Join a record's number and checksum into one number."""
    return number << _SUM_BITS | zlib.crc32(record)
