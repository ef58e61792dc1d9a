"""The ledger: which row of which journal has which number in W&B, on the disk before the row is handed over.

The file has a line for each span of a journal that was taken up:
``{"journal": ..., "start": ..., "end": ..., "rows": ...}``, in bytes, with the rows that it makes. Going through the
same spans in the same order counts the same rows, also where a journal has lost its end since: what is missing
keeps its numbers. A span with ``"settled": true`` also makes the rows that its process had left open
(:mod:`ups.journal.row_rule`). ``{"row": ..., "number": ...}`` says from which row on which numbers are used. The first
such line begins the ledger; another is added only where a server takes the next numbers no more, or holds more rows
than were written down. So after a crash the last number that W&B holds says where to continue.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups.durable import sync_folder, write_atomically
from ups.errors import DeliveryError, RunDirectoryError
from ups.journal.own_descriptor import OwnDescriptor
from ups.journal.untrusted import LARGEST, open_inside, parse

__all__ = ["Cursor", "JournalSpan", "Ledger", "consumed", "spans_of"]


@dataclass(frozen=True, slots=True)
class JournalSpan:
    """Whole lines of one process's journal.

    Attributes:
        process: The process.
        start, end: Bytes of its journal.
        rows: The rows that they make; None where an older UPS has not counted them.
        settled: Whether the rows that the process had left open are settled at its end.
    """

    process: str
    start: int
    end: int
    rows: int | None
    settled: bool = False


@dataclass(frozen=True, slots=True)
class _Numbering:
    """From the ``row``-th row on, numbers from ``number``."""

    row: int
    number: int


class Ledger:
    """The file ``delivery/sequence.jsonl``.

    Raises:
        DeliveryError: The file is not what this class writes.
        OSError: The file cannot be read or written; what is in it stays whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbering: list[_Numbering] = []  # both increasing
        self._spans: list[JournalSpan] = []
        length = self._read()
        self._file = OwnDescriptor(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.ftruncate(self._file.number, length)  # behind it is a line that was cut off: nothing of it was handed over
        sync_folder(path.parent)
        self._unsynced = True

    def __iter__(self) -> Iterator[JournalSpan]:
        return iter(tuple(self._spans))

    def number(self, row: int) -> int:
        """The number of the ``row``-th row, from 0. The ledger must have begun."""
        for since in reversed(self._numbering):
            if row >= since.row:
                return since.number + row - since.row
        raise DeliveryError(f"{self.path} has no numbers yet")

    @property
    def rows(self) -> int | None:
        """How many rows all spans make; None where an older UPS has not counted them."""
        counts = [span.rows for span in self._spans]
        return None if None in counts else sum(count for count in counts if count is not None)

    def rows_up_to(self, number: int) -> int:
        """How many rows that were written down have a number of at most ``number``."""
        rows = 0
        for index, since in enumerate(self._numbering):
            if number >= since.number:
                rows = since.row + number - since.number + 1
                if index + 1 < len(self._numbering):
                    rows = min(rows, self._numbering[index + 1].row)
        written = self.rows
        return rows if written is None else min(rows, written)

    def go_on(self, held: int, lowest: int) -> int:
        """Settle the numbers of the rows that W&B does not hold: at least ``lowest``. Returns how many rows it holds.

        Args:
            held: The last number that W&B holds; -1 for none.
            lowest: The lowest number that it still takes.
        """
        rows = self.rows_up_to(held)
        if not self._numbering or self.number(rows) < lowest:
            self._write({"row": rows, "number": lowest})
            self._numbering.append(_Numbering(rows, lowest))
            self.sync()
        return rows

    def add(self, span: JournalSpan) -> None:
        """Write a span down, behind the others."""
        entry = {"journal": span.process, "start": span.start, "end": span.end, "rows": span.rows or 0}
        self._write({**entry, "settled": True} if span.settled else entry)
        self._join(span)

    def offsets(self) -> dict[str, int]:
        """How far each process's journal has been taken up, in bytes."""
        return {span.process: span.end for span in self._spans}

    def sync(self) -> None:
        """Have the operating system put what was written on the disk."""
        if self._unsynced:
            os.fsync(self._file.number)
            self._unsynced = False

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        self._file.close()

    def _join(self, span: JournalSpan) -> None:
        newest = self._spans[-1] if self._spans else None
        if (
            newest is not None
            and (newest.process, newest.end) == (span.process, span.start)
            and newest.rows is not None
            and span.rows is not None
            and not newest.settled
        ):
            rows = newest.rows + span.rows
            self._spans[-1] = JournalSpan(span.process, newest.start, span.end, rows, span.settled)
        else:
            self._spans.append(span)

    def _write(self, entry: dict[str, object]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        self._file.ensure()
        size = os.fstat(self._file.number).st_size
        if os.write(self._file.number, line) != len(line):
            os.ftruncate(self._file.number, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._unsynced = True

    def _read(self) -> int:
        """Read what is there. Returns the length in bytes of the whole lines."""
        length, entries = _read_entries(self.path)
        for entry in entries:
            if isinstance(entry, JournalSpan):
                self._join(entry)
            else:
                self._numbering.append(entry)
        return length


class Cursor:
    """How far each source has been given out, for what is delivered at least once; a small file, replaced whole.

    One that is lost or damaged is begun again: what it guarded is given again, from the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._offsets: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ValueError, RunDirectoryError):
            with open_inside(path, path.parent.parent) as file:
                held = parse(file.read(LARGEST))
            if isinstance(held, dict):
                self._offsets = {name: at for name, at in held.items() if type(at) is int and at >= 0}

    def get(self, source: str) -> int:
        """Bytes of a source that were given out."""
        return self._offsets.get(source, 0)

    def set(self, source: str, offset: int) -> None:
        """Note that a source was given out up to ``offset``."""
        self._offsets[source] = offset
        self._changed = True

    def save(self) -> None:
        """Write what was noted."""
        if self._changed:
            write_atomically(self._path, json.dumps(self._offsets) + "\n")
            self._changed = False


def spans_of(path: Path) -> list[JournalSpan]:
    """The spans of the ledger in ``path``, in order; empty where there is no file. Nothing is written.

    Raises:
        DeliveryError: The file is damaged.
        OSError: The file cannot be read.
    """
    return [entry for entry in _read_entries(path)[1] if isinstance(entry, JournalSpan)]


def consumed(path: Path) -> dict[str, int]:
    """How far each process's journal has been taken up by the ledger in ``path``, in bytes.

    Raises:
        DeliveryError, OSError: As for :func:`spans_of`.
    """
    return {span.process: span.end for span in spans_of(path)}


def _read_entries(path: Path) -> tuple[int, list[JournalSpan | _Numbering]]:
    """The lines of a ledger up to its end, or to where a crash has cut it, and their length in bytes.

    Raises:
        DeliveryError: A line between others is damaged.
        OSError: The file cannot be read.
    """
    try:
        with open_inside(path, path.parent.parent) as file:
            lines = file.read(LARGEST).splitlines(keepends=True)
    except FileNotFoundError:
        return 0, []
    length = 0
    entries: list[JournalSpan | _Numbering] = []
    damage: ValueError | None = None
    for line in lines:
        try:
            entry = _entry(line)
        except ValueError as error:
            damage = damage or error
            continue
        if damage is not None:  # not the end that a power cut leaves
            raise DeliveryError(
                f"{path} is damaged ({damage}), so it is not known which rows W&B has. The rows are all in"
                f" {path.parent.parent / 'journal'}: to bring them to W&B as a new run, use 'ups deliver --as-new'"
            )
        entries.append(entry)
        length += len(line)
    return length, entries


def _entry(line: bytes) -> JournalSpan | _Numbering:
    """Read a line of the file.

    Raises:
        ValueError: It is not one that UPS writes.
    """
    if not line.endswith(b"\n"):
        raise ValueError("a line has no end")
    entry = parse(line)
    if not isinstance(entry, dict):
        raise ValueError("a line is not a JSON object")
    if "row" in entry:
        return _Numbering(_whole(entry, "row"), _whole(entry, "number"))
    process = entry.get("journal")
    if not isinstance(process, str) or "/" in process:
        raise ValueError("a line names no journal")
    rows = _whole(entry, "rows") if "rows" in entry else None
    return JournalSpan(process, _whole(entry, "start"), _whole(entry, "end"), rows, entry.get("settled") is True)


def _whole(entry: dict[str, Any], name: str) -> int:
    number = entry.get(name)
    if type(number) is not int or not 0 <= number < 2**62:
        raise ValueError(f"a line has no {name}")
    return number
