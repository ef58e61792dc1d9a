"""The ledger: which row of which journal has which number in W&B, on the disk before the row is handed over.

Its file has two kinds of lines:

* ``{"journal": ..., "start": ..., "end": ..., "rows": ...}`` is a *span*: bytes of a journal that delivery has taken
  up, and how many rows they make. With ``"settled": true`` the span also makes the rows that its process had left open
  (:mod:`ups.journal.row_rule`). Reading the spans again, in their order, counts the same rows. Rows that a journal has
  lost since keep their numbers. ``"numbers": [[row, number, every], ...]`` is there where rows of a script have numbers
  of its own (:mod:`ups.journal.row_numbers`): in the line of their span, so that a crash keeps both or neither.
* ``{"row": ..., "number": ...}`` gives the numbers from a row on. The first such line begins the ledger. Another
  follows only where a server no longer takes the next numbers, or holds more rows than were written down.

So after a crash the last number that W&B holds determines where to continue.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ups.durable import sync_folder, write_atomically
from ups.errors import DeliveryError, RunDirectoryError
from ups.journal.own_descriptor import OwnDescriptor
from ups.journal.row_numbers import Numbering, RowNumbers
from ups.journal.run_directory import RunDirectory
from ups.journal.untrusted import LARGEST, open_inside, parse

__all__ = ["Cursor", "JournalSpan", "Ledger", "numbers_of", "spans_of"]


@dataclass(frozen=True, slots=True)
class JournalSpan:
    """Whole lines of one process's journal, from byte ``start`` up to ``end``.

    Attributes:
        rows: The rows that it makes; None where an older UPS has not counted them.
        settled: Whether the rows that the process had left open are settled at its end.
    """

    process: str
    start: int
    end: int
    rows: int | None
    settled: bool = False


class Ledger:
    """The spans that delivery has taken up of a run's journals, the number of each row, and the cursor of the rest.

    Attributes:
        path: The ledger's file.
        cursor: How far everything that has no number was given out.

    Raises:
        DeliveryError: The file is not what this class writes.
        OSError: The file cannot be read or written; what is in it stays whole.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.path = directory.ledger_file
        self.cursor = Cursor(directory.cursor_file)
        length, self._spans, self._numbers = _read(self.path)
        self._lowest = 0
        self._file = OwnDescriptor(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.ftruncate(self._file.number, length)  # behind it is a line that was cut off: nothing of it was handed over
        sync_folder(self.path.parent)
        self._unsynced = True

    def __iter__(self) -> Iterator[JournalSpan]:
        return iter(tuple(self._spans))

    def number(self, row: int) -> int:
        """The number of the ``row``-th row, from 0.

        Raises:
            DeliveryError: No session has settled the numbers yet (:meth:`continue_from`).
        """
        if not self._numbers:
            raise DeliveryError(f"{self.path} has no numbers yet")
        return self._numbers.number(row)

    @property
    def rows(self) -> int | None:
        """The number of rows in all spans; None where an older UPS has not counted them."""
        counts = [span.rows for span in self._spans]
        return None if None in counts else sum(count for count in counts if count is not None)

    def rows_up_to(self, number: int) -> int:
        """The number of rows, of those written down, that are numbered ``number`` or lower."""
        rows, written = self._numbers.rows_up_to(number), self.rows
        return rows if written is None else min(rows, written)

    def continue_from(self, held: int, lowest: int) -> int:
        """Settle the numbers of the rows that W&B lacks. Returns how many rows it holds.

        ``held`` is the last number that it holds, -1 for none, and ``lowest`` the lowest that it still takes.
        """
        rows = self.rows_up_to(held)
        self._lowest = lowest
        if not self._numbers or self.number(rows) < lowest:
            self._write({"row": rows, "number": lowest})
            self._numbers.add(Numbering(rows, lowest))
            self.sync()
        return rows

    def add(self, span: JournalSpan, wishes: Sequence[int] = ()) -> None:
        """Write a span down, behind the others.

        Args:
            span: The span.
            wishes: The number that each of its rows has in W&B where that is free, or 0; none where any number will do.
        """
        entry: dict[str, object] = {"journal": span.process, "start": span.start, "end": span.end}
        entry["rows"] = span.rows or 0
        if span.settled:
            entry["settled"] = True
        row = self.rows
        if row is not None and span.rows and (wishes or (self._numbers and not self._numbers.counts(row))):
            begun = self._numbers.give(row, wishes or [0] * span.rows, self._lowest)
            if begun:
                entry["numbers"] = [[each.row, each.number, each.every] for each in begun]
        self._write(entry)
        _join(self._spans, span)

    def offsets(self) -> dict[str, int]:
        """The bytes of each process's journal that were taken up."""
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

    def _write(self, entry: dict[str, object]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        self._file.ensure()
        size = os.fstat(self._file.number).st_size
        if os.write(self._file.number, line) != len(line):
            os.ftruncate(self._file.number, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self._unsynced = True


class Cursor:
    """The bytes given out of each source that is delivered at least once: a small file, replaced whole.

    Where it is lost or damaged it begins again, and its sources are given out again from their start.
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
        """The bytes of a source that were given out."""
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


def spans_of(directory: RunDirectory) -> list[JournalSpan]:
    """The spans in a run's ledger, in order; empty where it has none. Nothing is written.

    Raises:
        DeliveryError: The ledger is damaged.
        OSError: It cannot be read.
    """
    return _read(directory.ledger_file)[1]


def _join(spans: list[JournalSpan], span: JournalSpan) -> None:
    """Add a span behind the others: to the newest, where it continues that and no rows were settled between."""
    newest = spans[-1] if spans else None
    if (
        newest is not None
        and (newest.process, newest.end) == (span.process, span.start)
        and newest.rows is not None
        and span.rows is not None
        and not newest.settled
    ):
        rows = newest.rows + span.rows
        spans[-1] = JournalSpan(span.process, newest.start, span.end, rows, span.settled)
    else:
        spans.append(span)


def numbers_of(directory: RunDirectory) -> tuple[int, RowNumbers]:
    """The rows in a run's ledger, and their numbers; 0 where it has none. Nothing is written.

    Raises:
        DeliveryError: The ledger is damaged.
        OSError: It cannot be read.
    """
    _, spans, numbers = _read(directory.ledger_file)
    return sum(span.rows or 0 for span in spans), numbers


def _read(path: Path) -> tuple[int, list[JournalSpan], RowNumbers]:
    """Read a ledger's whole lines: their length in bytes, the spans and the numbers.

    Raises:
        DeliveryError: A line before others is damaged.
        OSError: The file cannot be read.
    """
    try:
        with open_inside(path, path.parent.parent) as file:
            lines = file.read(LARGEST).splitlines(keepends=True)
    except FileNotFoundError:
        return 0, [], RowNumbers()
    length = 0
    spans: list[JournalSpan] = []
    numbers = RowNumbers()
    damage: ValueError | None = None
    for line in lines:
        try:
            span, numberings = _entry(line)
        except ValueError as error:
            damage = damage or error
            continue
        if damage is not None:  # not the end that a power cut leaves
            raise DeliveryError(
                f"{path} is damaged ({damage}), so nothing here shows which rows W&B has. All rows are in"
                f" {path.parent.parent / 'journal'}: bring them to W&B as a new run, with 'ups deliver --as-new'"
            )
        if span is not None:
            _join(spans, span)
        for numbering in numberings:
            numbers.add(numbering)
        length += len(line)
    return length, spans, numbers


def _entry(line: bytes) -> tuple[JournalSpan | None, list[Numbering]]:
    """Read a line of the file: its span, if it has one, and its numberings.

    Raises:
        ValueError: UPS writes no such line.
    """
    if not line.endswith(b"\n"):
        raise ValueError("a line has no end")
    entry = parse(line)
    if not isinstance(entry, dict):
        raise ValueError("a line is not a JSON object")
    if "row" in entry:
        return None, [Numbering(_whole(entry, "row"), _whole(entry, "number"))]
    process = entry.get("journal")
    if not isinstance(process, str) or "/" in process:
        raise ValueError("a line names no journal")
    rows = _whole(entry, "rows") if "rows" in entry else None
    span = JournalSpan(process, _whole(entry, "start"), _whole(entry, "end"), rows, entry.get("settled") is True)
    numbers = entry.get("numbers", [])
    if not isinstance(numbers, list):
        raise ValueError("a line has no numbers")
    return span, [_numbering(each, rows or 0) for each in numbers]


def _numbering(given: Any, rows: int) -> Numbering:
    """Read a numbering of a span with so many rows."""
    if not isinstance(given, list) or len(given) != 3:
        raise ValueError("a line has no numbers")
    row, number, every = (_whole({"number": each}, "number") for each in given)
    if every < 1 or number + every * rows >= 2**62:
        raise ValueError("a line has no numbers")
    return Numbering(row, number, every)


def _whole(entry: dict[str, Any], name: str) -> int:
    number = entry.get(name)
    if type(number) is not int or not 0 <= number < 2**62:
        raise ValueError(f"a line has no {name}")
    return number
